//! `leasehold pause`: keeps new runs of a job, or of all jobs, from starting.

use clap::Args;
use leasehold_lock::{Batch, KeyValue, LeaseId};
use leasehold_records::{AdminAction, HoldKind, HoldMark, JobControl, JobRecord, UnixMs};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::hold::{ConcernedRuns, HoldOrder};
use crate::orders::sentence::join;
use crate::orders::{OrderArgs, OrderDesk, now, until};
use crate::show_format::print;

/// Arguments of `leasehold pause`.
#[derive(Args)]
pub(crate) struct PauseArgs {
    /// The job.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    job: Option<String>,
    /// All jobs, also those that are added later.
    #[arg(long)]
    all: bool,
    /// End of the pause: a time of day (06:00), a moment (2026-12-01T06:00:00Z) or a time span (2h).
    ///
    /// Each host ends the pause by its own wall clock.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Ask the runs that are under way to stop, within their grace time.
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    order: OrderArgs,
}

/// Pauses, and waits until the hosts have seen it.
pub(crate) async fn run(args: PauseArgs) -> Result<Exit, Failure> {
    refuse_no_target(args.job.as_deref(), args.all)?;
    let zone = until::local_zone();
    let until = args
        .until
        .as_deref()
        .map(|text| until::parse(text, now(), zone));
    let until = until
        .transpose()
        .map_err(|error| Failure::of_line(Exit::Usage, &format!("--until: {error}")))?;
    let desk = OrderDesk::open(&args.order).await?;
    let paused = pause(&desk, args.job.as_deref(), until, args.stop).await;
    desk.close(paused).await
}

async fn pause(
    desk: &OrderDesk,
    job: Option<&str>,
    until: Option<UnixMs>,
    stop: bool,
) -> Result<Exit, Failure> {
    if let Some(job) = job {
        desk.know_job(job).await?;
    }
    let target = PauseTarget::new(desk, job);
    let (found, revision) = desk.read(&target.key).await?;
    let known = known_pause(found.as_ref(), now());
    if let Some(known) = known
        .as_ref()
        .filter(|known| known.until_unix_ms == until && !stop)
    {
        let sentence = format!(
            "{} paused already, {known}; nothing was changed\n",
            target.subject
        );
        return print(&sentence);
    }
    let mark = desk.mark(until);
    let control = JobControl {
        pause: Some(mark.clone()),
    };
    let mut batch = Batch::default();
    batch.put(&target.key, &control.to_json(), LeaseId::NONE);
    let mut action = desk.action(AdminAction::Pause);
    action.job = job.map(Into::into);
    let order = HoldOrder {
        key: (&target.key, revision),
        name: format!("the pause of {}", target.name),
        job,
        host: None,
        stop,
    };
    let has_seen = |job: &JobRecord| shows(job, target.kind, &mark);
    let (seen, runs) = order.write(desk, batch, &action, has_seen).await?;
    let subject = format!("{} paused{}", target.subject, on(&seen.hosts()));
    let sentence = describe(&subject, &mark, &runs, now());
    let printed = print(&format!("{sentence}\n"));
    seen.warn();
    printed
}

/// Returns the pause in a record, if it is in force.
pub(crate) fn known_pause(found: Option<&KeyValue>, now: UnixMs) -> Option<HoldMark> {
    let control = JobControl::from_json(&found?.value).ok()?;
    control.pause.filter(|pause| pause.is_in_force(now))
}

/// Fails unless a job or all jobs are named: a missing name never means all of them.
pub(crate) fn refuse_no_target(job: Option<&str>, all: bool) -> Result<(), Failure> {
    if job.is_some() != all {
        return Ok(());
    }
    let text = "name one job, or all of them with --all".to_owned();
    Err(Failure::new(Exit::Usage, text))
}

/// The jobs to pause or resume.
pub(crate) struct PauseTarget {
    pub(crate) key: String,
    pub(crate) kind: HoldKind,
    /// The job's name, or `all jobs`.
    pub(crate) name: String,
    /// The beginning of a sentence about it.
    pub(crate) subject: String,
}

impl PauseTarget {
    pub(crate) fn new(desk: &OrderDesk, job: Option<&str>) -> Self {
        match job {
            Some(job) => Self {
                key: desk.root().job_control(job),
                kind: HoldKind::Paused,
                name: job.to_owned(),
                subject: format!("{job} is"),
            },
            None => Self {
                key: desk.root().all_control(),
                kind: HoldKind::AllPaused,
                name: "all jobs".to_owned(),
                subject: "all jobs are".to_owned(),
            },
        }
    }
}

/// True if the host of this record has seen the pause.
pub(crate) fn shows(job: &JobRecord, kind: HoldKind, mark: &HoldMark) -> bool {
    job.holds
        .iter()
        .any(|hold| hold.kind == kind && hold.mark == *mark)
}

fn on(hosts: &[String]) -> String {
    if hosts.is_empty() {
        ", and no host has it now".to_owned()
    } else {
        format!(" on {}", join(hosts))
    }
}

fn describe(subject: &str, mark: &HoldMark, runs: &ConcernedRuns, now: UnixMs) -> String {
    let until = mark.until_unix_ms.map_or_else(String::new, |until| {
        format!(" until {}", until::show(until, now, until::local_zone()))
    });
    let runs = runs.describe();
    let runs = runs.unwrap_or_else(|| "no run is under way".to_owned());
    format!("{subject}{until}: no new run starts; {runs}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::halting::HeldRun;
    use crate::orders::hold::tests::run;

    #[test]
    fn missing_name_never_means_all_jobs() {
        assert!(refuse_no_target(Some("ledger"), false).is_ok());
        assert!(refuse_no_target(None, true).is_ok());
        for (job, all) in [(None, false), (Some("ledger"), true)] {
            assert_eq!(refuse_no_target(job, all).unwrap_err().exit, Exit::Usage);
        }
    }

    #[test]
    fn pause_reads_with_the_runs_that_go_on() {
        let mark = HoldMark {
            by: "ann@vm".into(),
            why: String::new(),
            at_unix_ms: UnixMs::new(0),
            until_unix_ms: None,
        };
        let text = |under_way: &[HeldRun], stop: bool| {
            let runs = ConcernedRuns {
                under_way: under_way.to_vec(),
                asked: under_way.iter().filter(|_| stop).cloned().collect(),
            };
            describe("ledger is paused on web1", &mark, &runs, UnixMs::new(0))
        };
        insta::assert_snapshot!(
            text(&[], false),
            @"ledger is paused on web1: no new run starts; no run is under way"
        );
        let runs = [run(42)];
        insta::assert_snapshot!(
            text(&runs, false),
            @"ledger is paused on web1: no new run starts; ledger on web1 (token 42) goes on to its end (--stop would end it)"
        );
        insta::assert_snapshot!(
            text(&runs, true),
            @"ledger is paused on web1: no new run starts; ledger on web1 (token 42) was asked to stop, and has its grace time"
        );
        assert_eq!(on(&["web1".into(), "web2".into()]), " on web1 and web2");
    }
}
