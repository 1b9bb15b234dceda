//! The explanation of a job's state: the reasons for which it runs or does not, from the facts of one moment. Pure.
//!
//! `leasehold explain`, `leasehold status` and the dashboard use the same words, which are made here.
//!
//! - `store_facts`: records, controls and queues. `decisions`: what operators decided. `reason`: reasons as data. `sentence`: their text.

mod decisions;
mod ordinal;
mod reason;
mod sentence;
mod store_facts;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use reason::{BlockedBy, NextTick, Reason, ReasonKind};
pub use store_facts::{QueueFact, StoreFacts};

use decisions::{holds_on, pause_of};
use sentence::ReasonScope;

use crate::job::{JobRecord, JobState};
use crate::lock_label::lock_names;
use crate::unix_ms::UnixMs;

/// Reasons for the state of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The job.
    pub job: String,
    /// True if it runs on a host.
    pub running: bool,
    /// True if an operator paused it, alone or with all jobs.
    pub paused: bool,
    /// The reasons, the most important first.
    pub reasons: Vec<Reason>,
}

impl Explanation {
    /// Returns the reasons that hold on this host, or on all.
    pub fn on<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Reason> {
        self.reasons.iter().filter(move |reason| {
            reason.hosts.is_empty() || reason.hosts.iter().any(|at| at == host)
        })
    }

    /// Leaves out the reasons that do not hold on this host.
    pub fn keep_only(&mut self, host: &str) {
        self.reasons
            .retain(|reason| reason.hosts.is_empty() || reason.hosts.iter().any(|at| at == host));
        for reason in &mut self.reasons {
            reason.hosts.retain(|at| at == host);
        }
        self.summarize();
    }

    /// Sets what follows from the reasons.
    fn summarize(&mut self) {
        self.running = self.reasons.iter().any(|reason| reason.kind.is_run());
        self.paused = self.reasons.iter().any(|reason| reason.kind.is_pause());
    }

    /// Returns the word of an operator's decision that keeps new runs from starting on this host.
    pub fn decision_on(&self, host: &str) -> Option<&'static str> {
        self.on(host).find_map(|reason| match reason.kind {
            ReasonKind::Paused { .. } => Some("paused"),
            ReasonKind::Drained { .. } => Some("drained"),
            _ => None,
        })
    }

    /// Returns the reasons on this host in one line, without those that its state and its next time show already.
    pub fn summary(&self, host: &str) -> String {
        let reasons = self.on(host).filter(|reason| !reason.kind.is_plain());
        let texts: Vec<&str> = reasons.map(|reason| reason.text.as_str()).collect();
        texts.join("; ")
    }
}

/// Explains the state of one job on all hosts.
pub fn explain(facts: &StoreFacts, job: &str, now: UnixMs) -> Explanation {
    let mut found = Findings::default();
    let pause = pause_of(facts, job, now);
    let records = facts.records_of(job);
    for record in records {
        explain_record(facts, record, (pause.as_ref(), now), &mut found);
    }
    let mut is_known = !records.is_empty();
    for host in &facts.hosts {
        if host.jobs.iter().any(|name| name == job) && facts.record(job, &host.host).is_none() {
            is_known = true;
            found.add(&host.host, ReasonKind::Unrecorded);
        }
    }
    found.global.extend(pause);
    if !is_known {
        let alive = facts.hosts.len();
        found.global.push(ReasonKind::NoHost { alive });
    }
    let mut explanation = Explanation {
        job: job.to_owned(),
        running: false,
        paused: false,
        reasons: found.finish(job, now),
    };
    explanation.summarize();
    explanation
}

/// Adds the reasons that one host's record of the job shows.
fn explain_record(
    facts: &StoreFacts,
    record: &JobRecord,
    (pause, now): (Option<&ReasonKind>, UnixMs),
    found: &mut Findings,
) {
    let host = record.host.as_str();
    let holds = holds_on(facts, record, pause, now);
    let is_held = pause.is_some() || !holds.is_empty();
    for hold in holds {
        found.add(host, hold);
    }
    let (since, lock) = (record.since_unix_ms, record.lock.clone());
    match record.state {
        JobState::Running | JobState::Pausing => {
            let token = record.token;
            let kind = if record.state == JobState::Running {
                ReasonKind::Running {
                    lock,
                    token,
                    since_unix_ms: since,
                }
            } else {
                ReasonKind::BetweenRuns {
                    lock,
                    token,
                    since_unix_ms: since,
                }
            };
            found.add(host, kind);
            if let Some(pending) = &record.pending {
                found.add(
                    host,
                    ReasonKind::Pending {
                        sha256: pending.plugin_sha256.clone(),
                        since_unix_ms: pending.since_unix_ms,
                    },
                );
            }
        }
        JobState::Waiting => explain_wait(facts, record, found),
        // The operator's decision is the reason.
        JobState::StandingBack if is_held => {}
        JobState::StandingBack => found.add(
            host,
            ReasonKind::StandingBack {
                lack: reason_in(record),
                since_unix_ms: since,
                until_unix_ms: record.next_unix_ms,
            },
        ),
        JobState::Sleeping => explain_sleep(record, found),
        JobState::Finished => found.add(
            host,
            ReasonKind::Finished {
                since_unix_ms: since,
            },
        ),
        JobState::Failed => found.add(
            host,
            ReasonKind::Failed {
                error: reason_in(record),
                since_unix_ms: since,
            },
        ),
    }
}

/// Adds the reason for which a job waits, from the queues of its locks: the first lock that it does not have.
fn explain_wait(facts: &StoreFacts, record: &JobRecord, found: &mut Findings) {
    let mut kind = joining(record, &record.lock);
    for lock in lock_names(&record.lock) {
        kind = find_wait(facts, record, lock);
        let ReasonKind::Granted { token, .. } = kind else {
            break;
        };
        kind = ReasonKind::Granted {
            lock: record.lock.clone(),
            token,
        };
    }
    found.add(&record.host, kind);
}

fn joining(record: &JobRecord, lock: &str) -> ReasonKind {
    ReasonKind::Joining {
        lock: lock.to_owned(),
        since_unix_ms: record.since_unix_ms,
    }
}

/// Returns the state of a job that waits in the queue of one of its locks.
fn find_wait(facts: &StoreFacts, record: &JobRecord, lock: &str) -> ReasonKind {
    let queue = facts.queue(lock);
    let has_owner = |entry: &QueueFact| {
        let owner = entry.owner.as_ref();
        owner.is_some_and(|owner| owner.host == record.host && owner.job == record.job)
    };
    // An entry of an earlier session stays until its lease ends. It is older than the wait, by the same host's clock.
    let is_own = |entry: &&QueueFact| {
        let owner = entry.owner.as_ref();
        let joined = owner.map(|owner| owner.since_unix_ms);
        has_owner(entry) && joined >= Some(record.since_unix_ms)
    };
    match (queue.first(), queue.iter().rfind(is_own)) {
        (_, Some(own)) if own.is_holder => ReasonKind::Granted {
            lock: lock.to_owned(),
            token: own.token,
        },
        (Some(first), _) if first.is_administrative => ReasonKind::AdministrativeHold {
            lock: lock.to_owned(),
            key: first.key.clone(),
            value: first.text.clone(),
        },
        (Some(first), Some(own)) => {
            let waits = queue.iter().filter(|entry| !entry.is_holder);
            let ahead = waits.clone().take_while(|entry| entry.key != own.key);
            ReasonKind::Blocked(BlockedBy {
                lock: lock.to_owned(),
                by: first.owner.as_ref().map(|owner| {
                    let session = if has_owner(first) {
                        " (an earlier session)"
                    } else {
                        ""
                    };
                    format!("{}@{}{session}", owner.job, owner.host)
                }),
                same_job: first
                    .owner
                    .as_ref()
                    .is_some_and(|owner| owner.job == record.job),
                key: first.key.clone(),
                token: first.token,
                held_since_unix_ms: held_since(facts, first),
                other_holders: queue.iter().skip(1).filter(|entry| entry.is_holder).count(),
                place: ahead.count() + 1,
                waiters: waits.count(),
                since_unix_ms: record.since_unix_ms,
            })
        }
        (_, None) | (None, _) => joining(record, lock),
    }
}

/// Returns the reason of the state itself: that of a failure, or the lack.
fn reason_in(record: &JobRecord) -> String {
    let plan = record.plan.as_ref();
    let own = plan.and_then(|plan| plan.reason.as_ref());
    own.unwrap_or(&record.detail).clone()
}

/// Returns the time since when this entry holds its lock, if its host has recorded a run under it.
fn held_since(facts: &StoreFacts, entry: &QueueFact) -> Option<UnixMs> {
    let owner = entry.owner.as_ref()?;
    let record = facts.record(&owner.job, &owner.host)?;
    (record.token == Some(entry.token)).then_some(record.since_unix_ms)
}

/// Adds the reasons for which a job sleeps.
fn explain_sleep(record: &JobRecord, found: &mut Findings) {
    let host = record.host.as_str();
    let plan = record.plan.as_ref();
    let tick = plan.and_then(|plan| Some((plan, plan.tick_unix_ms?)));
    let error = reason_in(record);
    let has_failed = !error.is_empty();
    let Some((plan, at_unix_ms)) = tick else {
        let kind = match record.next_unix_ms {
            Some(until_unix_ms) if has_failed => ReasonKind::Backoff {
                until_unix_ms,
                attempt: plan.and_then(|plan| plan.attempt),
                error,
            },
            until_unix_ms => ReasonKind::Sleeping { until_unix_ms },
        };
        return found.add(host, kind);
    };
    if has_failed {
        found.add(host, ReasonKind::LastFailed { error });
    }
    let next = NextTick {
        at_unix_ms,
        zone: plan.zone.clone(),
        zone_offset_s: plan.zone_offset_s,
        schedule: plan.schedule.clone(),
    };
    found.add(host, ReasonKind::NextTick(next));
}

/// Reasons under construction.
#[derive(Default)]
struct Findings {
    /// Reasons that hold on all hosts.
    global: Vec<ReasonKind>,
    on_hosts: Vec<(Vec<String>, ReasonKind)>,
}

impl Findings {
    /// Adds a reason on a host, to the same reason on others if there is one.
    fn add(&mut self, host: &str, kind: ReasonKind) {
        let mut known = self.on_hosts.iter_mut();
        match known.find(|(_, known)| *known == kind) {
            Some((hosts, _)) => hosts.push(host.to_owned()),
            None => self.on_hosts.push((vec![host.to_owned()], kind)),
        }
    }

    fn finish(self, job: &str, now: UnixMs) -> Vec<Reason> {
        let global = self.global.into_iter().map(|kind| (Vec::new(), kind));
        let mut all: Vec<_> = global.chain(self.on_hosts).collect();
        all.sort_by_key(|(_, kind)| kind.rank());
        let reasons = all.into_iter().map(|(hosts, kind)| Reason {
            text: kind.text(ReasonScope { job, hosts: &hosts }, now),
            hosts,
            kind,
        });
        reasons.collect()
    }
}
