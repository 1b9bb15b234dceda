//! A pause: keeps new runs of a job, or of all jobs, from starting.

use std::fmt::Write as _;

use chrono_tz::Tz;
use leasehold_lock::{Batch, KeyValue, LeaseId};
use leasehold_records::{AdminAction, HoldKind, HoldMark, JobControl, JobRecord, UnixMs};

use crate::desk::{OrderDesk, now};
use crate::error::OrderError;
use crate::hold::{ConcernedRuns, HoldOrder};
use crate::report::OrderReport;
use crate::sentence::join;
use crate::until;

/// A pause to write.
#[derive(Clone, Copy, Debug)]
pub struct PauseOrder<'a> {
    /// The job; all jobs, also those that are added later, if absent.
    pub job: Option<&'a str>,
    /// The time when it ends by itself, by the clock of each host.
    pub until: Option<UnixMs>,
    /// True if the runs under way are to end.
    pub stop: bool,
    /// The zone in which the end is shown.
    pub zone: Tz,
}

/// Pauses, and waits until the hosts have seen it.
///
/// # Errors
///
/// The order was not written, or may not have been.
pub async fn pause(desk: &OrderDesk, order: &PauseOrder<'_>) -> Result<OrderReport, OrderError> {
    let target = PauseTarget::new(desk, order.job);
    let (found, revision) = desk.read(&target.key).await?;
    let known = known_pause(found.as_ref(), now());
    if let Some(known) = known
        .as_ref()
        .filter(|known| known.until_unix_ms == order.until && !order.stop)
    {
        return Ok(OrderReport::new(format!(
            "{} paused already, {known}; nothing was changed",
            target.subject
        )));
    }
    let mark = desk.mark(order.until);
    let control = JobControl {
        pause: Some(mark.clone()),
    };
    let mut batch = Batch::default();
    batch.put(&target.key, &control.to_json(), LeaseId::NONE);
    let mut action = desk.action(AdminAction::Pause);
    action.job = order.job.map(Into::into);
    let hold = HoldOrder {
        key: (&target.key, revision),
        name: format!("the pause of {}", target.name),
        job: order.job,
        host: None,
        stop: order.stop,
    };
    let has_seen = |job: &JobRecord| shows(job, target.kind, &mark);
    let (seen, runs) = hold.write(desk, batch, &action, has_seen).await?;
    let subject = format!("{} paused{}", target.subject, on(&seen.hosts()));
    let mut sentence = describe(&subject, &mark, &runs, (now(), order.zone));
    if let Some(known) = known {
        let _ = write!(sentence, "; this replaces the pause {known}");
    }
    Ok(seen.report(sentence))
}

/// Returns the pause in a record, if it is in force.
pub(crate) fn known_pause(found: Option<&KeyValue>, now: UnixMs) -> Option<HoldMark> {
    let control = JobControl::from_json(&found?.value).ok()?;
    control.pause.filter(|pause| pause.is_in_force(now))
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

fn describe(
    subject: &str,
    mark: &HoldMark,
    runs: &ConcernedRuns,
    (now, zone): (UnixMs, Tz),
) -> String {
    let until = mark.until_unix_ms.map_or_else(String::new, |until| {
        format!(" until {}", until::show(until, now, zone))
    });
    let runs = runs.describe();
    let runs = runs.unwrap_or_else(|| "no run is under way".to_owned());
    format!("{subject}{until}: no new run starts; {runs}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held_run::HeldRun;
    use crate::hold::tests::run;

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
            describe(
                "ledger is paused on web1",
                &mark,
                &runs,
                (UnixMs::new(0), Tz::UTC),
            )
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
