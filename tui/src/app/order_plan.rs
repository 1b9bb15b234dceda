//! Orders to hosts: planned here from the selected row, carried out by the source.

use leasehold_records::{HoldMark, JobRecord, UnixMs, lock_names};

use super::admin_plan::refuse_writing;
use super::app_state::App;
use super::host_order::OrderVerb;
use super::list::RowKey;
use super::order_form::OrderForm;
use crate::keymap::Command;
use crate::model::{EntryOwner, StoreState};

/// Plans the order of a command on the selected row. The error is the reason why it is not possible.
pub(super) fn plan_host_order(
    app: &App,
    command: Command,
    now: UnixMs,
) -> Result<OrderForm, String> {
    refuse_writing(app, now)?;
    let verb = verb_of(app, command, now)?;
    let consequence = OrderPlan {
        app,
        state: app.shown(now).state,
        now,
    }
    .consequence(&verb);
    Ok(OrderForm::new(verb, consequence))
}

fn verb_of(app: &App, command: Command, now: UnixMs) -> Result<OrderVerb, String> {
    let job = || selected_job(app, now);
    Ok(match command {
        Command::Trigger => OrderVerb::Trigger { job: job()?.0 },
        Command::Pause => OrderVerb::Pause {
            job: Some(job()?.0),
            until: None,
        },
        Command::Resume => OrderVerb::Resume {
            job: Some(job()?.0),
        },
        Command::PauseAll => OrderVerb::Pause {
            job: None,
            until: None,
        },
        Command::ResumeAll => OrderVerb::Resume { job: None },
        Command::Stop => {
            let (job, host) = selected_run(app, now)?;
            OrderVerb::Stop { job, host }
        }
        Command::Restart => {
            let (job, host) = selected_run(app, now)?;
            OrderVerb::Restart { job, host }
        }
        Command::Drain => OrderVerb::Drain {
            host: selected_host(app, now)?,
        },
        Command::Undrain => OrderVerb::Undrain {
            host: drained_host(app, now)?,
        },
        _ => return Err(format!("`{}` is not an order", command.name())),
    })
}

/// The job and the host of the selected row.
fn selected_job(app: &App, now: UnixMs) -> Result<(String, String), String> {
    let nothing = || "no job is selected: choose one in the Jobs view".to_owned();
    let (job, host) = app.job(now).ok_or_else(nothing)?;
    let state = app.shown(now).state;
    // A name that was made printable is not the name in the store.
    let is_known = state.jobs.contains_key(&(job.clone(), host.clone()));
    if is_known {
        Ok((job, host))
    } else {
        Err(format!("the store has no record of {job} on {host}"))
    }
}

/// The job of the selected row, and the host of its run: that of the row, or another one.
fn selected_run(app: &App, now: UnixMs) -> Result<(String, String), String> {
    let (job, host) = selected_job(app, now)?;
    let runs = running_hosts(app, app.shown(now).state, &job);
    let on = runs.iter().find(|on| **on == host).or(runs.first());
    match on {
        Some(on) => Ok((job, on.clone())),
        None => Err(format!("{job} does not run on any host")),
    }
}

/// The host of the selected row: of a session, or of a job.
fn selected_host(app: &App, now: UnixMs) -> Result<String, String> {
    let nothing = || "no host is selected: choose one in the Sessions or the Jobs view".to_owned();
    let state = app.shown(now).state;
    let host = match app.list().selected() {
        Some(RowKey::Session(lease)) => {
            let sessions = app.model.sessions_of(app.shown(now), &[*lease]);
            let session = sessions.first().ok_or_else(nothing)?;
            let owned = session.holds.first().map(|(_, entry)| entry);
            let owned = owned.or(session.waits.first().map(|(_, entry, _)| entry));
            match (&session.host, owned.and_then(|entry| entry.who.host())) {
                (Some(live), _) => live.record.host.clone(),
                (None, Some(host)) => host.to_owned(),
                (None, None) => return Err(nothing()),
            }
        }
        _ => app.job(now).ok_or_else(nothing)?.1,
    };
    let is_known = state.hosts.contains_key(&host) || state.jobs.keys().any(|(_, at)| *at == host);
    if is_known {
        Ok(host)
    } else {
        Err(format!("the store has no record of the host {host}"))
    }
}

/// The host of the selected row if it is drained, or the only one that is: a drained host has ended, and has no row.
fn drained_host(app: &App, now: UnixMs) -> Result<String, String> {
    let selected = selected_host(app, now);
    let drained = app.shown(now).state.drained_hosts(now);
    match (selected, drained.as_slice()) {
        (Ok(host), []) => Ok(host),
        (Ok(host), _) if drained.contains(&host) => Ok(host),
        (_, [only]) => Ok(only.clone()),
        (Err(reason), []) => Err(reason),
        (_, several) => Err(format!(
            "this host is not drained; use `leasehold undrain` for one of {}",
            several.join(", ")
        )),
    }
}

/// Hosts whose entries of the job hold its lock, or all of its locks.
fn running_hosts(app: &App, state: &StoreState, job: &str) -> Vec<String> {
    let root = app.model.scope.root();
    let mut hosts = Vec::new();
    for record in state.records_of(job).values() {
        let holds = |name: &str| {
            let lock = state.locks.get(root.lock(name).as_str());
            let holders = lock.map_or(&[][..], |lock| lock.queue.holders());
            holders.iter().any(|entry| match &entry.who {
                EntryOwner::Job { job, host } => **job == *record.job && **host == *record.host,
                _ => false,
            })
        };
        if lock_names(&record.lock).all(holds) {
            hosts.push(record.host.clone());
        }
    }
    hosts
}

/// Facts for the consequence of an order.
struct OrderPlan<'a> {
    app: &'a App,
    state: &'a StoreState,
    now: UnixMs,
}

impl OrderPlan<'_> {
    fn consequence(&self, verb: &OrderVerb) -> String {
        match verb {
            OrderVerb::Trigger { job } => format!(
                "{job} runs once, as soon as a host has its lock; {}",
                self.hosts_with(job)
            ),
            OrderVerb::Pause { job: Some(job), .. } => format!(
                "no new run of {job} starts on any host, and ticks that pass meanwhile follow `missed`; {}",
                self.runs_of(job)
            ),
            OrderVerb::Pause { job: None, .. } => {
                "no new run of any job starts on any host; runs under way go on to their end"
                    .to_owned()
            }
            OrderVerb::Resume { job: Some(job) } => {
                let pause = self.state.pause_of(Some(job), self.now);
                format!("{job} runs again; {}", state_of(("paused", "pause"), pause))
            }
            OrderVerb::Resume { job: None } => {
                let pause = self.state.pause_of(None, self.now);
                let pause = state_of(("paused", "pause"), pause);
                format!("all jobs run again but those that are paused by name; {pause}")
            }
            OrderVerb::Stop { job, host } => format!(
                "the run of {job} on {host} is asked to end, and has its grace time; the job goes on by its schedule"
            ),
            OrderVerb::Restart { job, host } => format!(
                "the run of {job} on {host} is asked to end, and has its grace time; {job} runs again at once, with its newest version"
            ),
            OrderVerb::Drain { host } => format!(
                "{host} starts nothing new, and its process ends when its runs have ended; {}",
                self.runs_on(host)
            ),
            OrderVerb::Undrain { host } => {
                let drain = self.state.drain_of(host, self.now);
                format!(
                    "{host} starts runs again; {}",
                    state_of(("drained", "drain"), drain)
                )
            }
        }
    }

    fn hosts_with(&self, job: &str) -> String {
        let records = self.state.records_of(job);
        let hosts: Vec<&str> = records
            .values()
            .map(|record| record.host.as_str())
            .collect();
        format!("it is on {}", hosts.join(", "))
    }

    fn runs_of(&self, job: &str) -> String {
        let hosts = running_hosts(self.app, self.state, job);
        if hosts.is_empty() {
            "no run is under way".to_owned()
        } else {
            format!("its run on {} goes on to its end", hosts.join(", "))
        }
    }

    fn runs_on(&self, host: &str) -> String {
        let is_run = |record: &&JobRecord| record.host == host && record.token.is_some();
        let records = self.state.jobs.values().map(|record| &**record);
        let jobs: Vec<&str> = records
            .filter(is_run)
            .map(|record| record.job.as_str())
            .collect();
        if jobs.is_empty() {
            "no run is under way there".to_owned()
        } else {
            format!("now it runs {}", jobs.join(", "))
        }
    }
}

/// States a hold, as in `paused by ann@vm: the disk is full`.
fn state_of((word, noun): (&str, &str), mark: Option<&HoldMark>) -> String {
    match mark {
        Some(mark) => format!("{word} {mark}"),
        None => format!("no {noun} is known"),
    }
}
