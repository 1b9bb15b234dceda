//! A request to end the run of a job, and to run it again at once with its newest version.

use std::time::{Duration, Instant};

use leasehold_records::{HoldMark, StopKind};

use crate::desk::{OrderDesk, now};
use crate::drain::known_drain;
use crate::error::OrderError;
use crate::held_run::{HeldRun, find_runs};
use crate::pause::known_pause;
use crate::report::OrderReport;
use crate::run_end::{RunEndOrder, wait_for_end};
use crate::sentence::{list_runs, pick_verb, state_drain, state_pause, state_pause_of_all};

/// Longest wait for the next run.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the run under way to end, and waits for the next one.
///
/// # Errors
///
/// The order was refused, was not written, or may not have been.
pub async fn restart(desk: &OrderDesk, order: RunEndOrder<'_>) -> Result<OrderReport, OrderError> {
    let job = order.job;
    let running = order.find_running(desk).await?;
    if running.is_empty() {
        return Ok(OrderReport::new(order.nothing_runs()));
    }
    if let Some(reason) = find_refusal(desk, job, &running).await? {
        return Err(OrderError::Refused(reason));
    }
    order.request(desk, &running, StopKind::Restart).await?;
    let left = wait_for_end(desk, &running).await?;
    let next = if left.is_empty() {
        wait_for_next(desk, job, &running).await?
    } else {
        Vec::new()
    };
    Ok(OrderReport::new(describe(job, &running, &left, &next)))
}

/// Returns the reason for which the job would not run again after its end.
async fn find_refusal(
    desk: &OrderDesk,
    job: &str,
    running: &[HeldRun],
) -> Result<Option<String>, OrderError> {
    let root = desk.root();
    let (paused, _) = desk.read(&root.job_control(job)).await?;
    let (all, _) = desk.read(&root.all_control()).await?;
    let mut holds = RestartHolds {
        paused: known_pause(paused.as_ref(), now()),
        all_paused: known_pause(all.as_ref(), now()),
        drained: None,
    };
    for run in running {
        let (found, _) = desk.read(&root.host_control(&run.host)).await?;
        if let Some(drain) = known_drain(found.as_ref(), now()) {
            holds.drained = Some((run.host.clone(), drain.mark));
        }
    }
    Ok(holds.describe(job))
}

/// Holds that keep a job from running again where it runs now.
#[derive(Default)]
struct RestartHolds {
    paused: Option<HoldMark>,
    all_paused: Option<HoldMark>,
    /// A host of its runs, and the drain of that host.
    drained: Option<(String, HoldMark)>,
}

impl RestartHolds {
    fn describe(&self, job: &str) -> Option<String> {
        let reason = match (&self.paused, &self.all_paused, &self.drained) {
            (Some(mark), _, _) => state_pause(job, mark),
            (None, Some(mark), _) => state_pause_of_all(mark),
            (None, None, Some((host, mark))) => state_drain(host, mark),
            (None, None, None) => return None,
        };
        Some(format!(
            "{reason}; its run would end and not start again there (`leasehold stop {job}` ends it alone)"
        ))
    }
}

/// Waits for runs under other tokens, but not for long.
async fn wait_for_next(
    desk: &OrderDesk,
    job: &str,
    running: &[HeldRun],
) -> Result<Vec<HeldRun>, OrderError> {
    let began = Instant::now();
    loop {
        let next = find_runs(desk, Some(job), None).await;
        let mut next = next.map_err(OrderError::after_writing)?;
        next.retain(|now| running.iter().all(|before| before.token != now.token));
        if !next.is_empty() || began.elapsed() >= PATIENCE {
            return Ok(next);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn describe(job: &str, running: &[HeldRun], left: &[HeldRun], next: &[HeldRun]) -> String {
    if !left.is_empty() {
        return format!(
            "{} {} not yet, perhaps in the grace time; the job runs again then",
            list_runs(left),
            pick_verb(
                left,
                "was asked to end and has",
                "were asked to end and have"
            )
        );
    }
    let before = format!(
        "{} {}",
        list_runs(running),
        pick_verb(running, "has", "have")
    );
    if next.is_empty() {
        format!("{before} ended; {job} runs again as soon as a host has its lock")
    } else {
        let run = pick_verb(next, "runs", "run");
        format!("{before} ended; {} {run} now", list_runs(next))
    }
}

#[cfg(test)]
mod tests {
    use leasehold_records::UnixMs;

    use super::*;

    #[test]
    fn restart_is_refused_with_operator_reason_and_remedies() {
        let mark = || HoldMark {
            by: "ann@vm".into(),
            why: "the disk is full".into(),
            at_unix_ms: UnixMs::new(0),
            until_unix_ms: None,
        };
        let paused = RestartHolds {
            paused: Some(mark()),
            ..RestartHolds::default()
        };
        let all_paused = RestartHolds {
            all_paused: Some(mark()),
            ..RestartHolds::default()
        };
        let drained = RestartHolds {
            drained: Some(("web1".into(), mark())),
            ..RestartHolds::default()
        };
        let lines = [paused, all_paused, drained].map(|holds| holds.describe("ledger").unwrap());
        insta::assert_snapshot!(lines.join("\n"), @r"
        ledger is paused by ann@vm: the disk is full: `leasehold resume ledger` ends that; its run would end and not start again there (`leasehold stop ledger` ends it alone)
        all jobs are paused by ann@vm: the disk is full: `leasehold resume --all` ends that; its run would end and not start again there (`leasehold stop ledger` ends it alone)
        web1 is drained by ann@vm: the disk is full: `leasehold undrain web1` ends that; its run would end and not start again there (`leasehold stop ledger` ends it alone)
        ");
        assert_eq!(RestartHolds::default().describe("ledger"), None);
    }
}
