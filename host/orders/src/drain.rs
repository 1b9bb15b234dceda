//! A drain: keeps a host from starting runs.

use leasehold_lock::{Batch, KeyValue, LeaseId};
use leasehold_records::{AdminAction, DrainMark, HoldKind, HostControl, JobRecord, UnixMs};

use crate::desk::{OrderDesk, now};
use crate::error::OrderError;
use crate::hold::{ConcernedRuns, HoldOrder};
use crate::pause::shows;
use crate::report::OrderReport;

/// A drain to write.
#[derive(Clone, Copy, Debug)]
pub struct DrainOrder<'a> {
    /// The host.
    pub host: &'a str,
    /// True if the host goes on without runs, instead of ending when its last run has ended.
    pub keep: bool,
    /// True if the runs under way are to end.
    pub stop: bool,
}

/// Drains a host, and waits until it has seen that.
///
/// # Errors
///
/// The order was not written, or may not have been.
pub async fn drain(desk: &OrderDesk, order: &DrainOrder<'_>) -> Result<OrderReport, OrderError> {
    let host = order.host;
    let key = desk.root().host_control(host);
    let (found, revision) = desk.read(&key).await?;
    let known = known_drain(found.as_ref(), now());
    if let Some(known) = known.filter(|known| known.keep == order.keep && !order.stop) {
        return Ok(OrderReport::new(format!(
            "{host} is drained already, {}; nothing was changed",
            known.mark
        )));
    }
    let drain = DrainMark {
        mark: desk.mark(None),
        keep: order.keep,
    };
    let control = HostControl {
        drain: Some(drain.clone()),
    };
    let mut batch = Batch::default();
    batch.put(&key, &control.to_json(), LeaseId::NONE);
    let mut action = desk.action(AdminAction::Drain);
    action.host = Some(host.to_owned());
    let hold = HoldOrder {
        key: (&key, revision),
        name: format!("the drain of {host}"),
        job: None,
        host: Some(host),
        stop: order.stop,
    };
    let has_seen = |job: &JobRecord| shows(job, HoldKind::Drained, &drain.mark);
    let (before, _) = desk.read(&desk.root().host(host)).await?;
    let (seen, runs) = hold.write(desk, batch, &action, has_seen).await?;
    let after = desk.read(&desk.root().host(host)).await;
    let (after, _) = after.map_err(OrderError::after_writing)?;
    let presence = if after.is_some() || !seen.jobs.is_empty() {
        HostPresence::Alive
    } else if before.is_some() {
        HostPresence::Ended
    } else {
        HostPresence::Absent
    };
    Ok(seen.report(describe(order, presence, &runs)))
}

/// Returns the drain in a record, if it is in force.
pub(crate) fn known_drain(found: Option<&KeyValue>, now: UnixMs) -> Option<DrainMark> {
    let control = HostControl::from_json(&found?.value).ok()?;
    control.drain.filter(|drain| drain.mark.is_in_force(now))
}

/// The drained host while the order was given.
#[derive(Clone, Copy)]
enum HostPresence {
    /// It still runs.
    Alive,
    /// It ran, and has ended since.
    Ended,
    /// It did not run.
    Absent,
}

fn describe(order: &DrainOrder<'_>, presence: HostPresence, runs: &ConcernedRuns) -> String {
    let host = order.host;
    let runs = runs.describe();
    match presence {
        HostPresence::Alive => {
            let then = if order.keep {
                "goes on without runs"
            } else {
                "ends when its runs have ended"
            };
            let runs = runs.unwrap_or_else(|| "no run is under way there".to_owned());
            format!("{host} is drained: it starts nothing new and {then}; {runs}")
        }
        HostPresence::Ended => {
            let runs = runs.map_or_else(String::new, |runs| format!("{runs}; "));
            format!(
                "{host} is drained and has ended; {runs}it stands by when it starts, until `leasehold undrain {host}`"
            )
        }
        HostPresence::Absent => format!(
            "{host} is drained; it does not run now, and stands by when it starts, until `leasehold undrain {host}`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn order(keep: bool) -> DrainOrder<'static> {
        DrainOrder {
            host: "web1",
            keep,
            stop: false,
        }
    }

    #[test]
    fn drain_reads_with_the_end_of_the_host() {
        insta::assert_snapshot!(
            describe(&order(false), HostPresence::Alive, &ConcernedRuns::default()),
            @"web1 is drained: it starts nothing new and ends when its runs have ended; no run is under way there"
        );
        insta::assert_snapshot!(
            describe(&order(true), HostPresence::Alive, &ConcernedRuns::default()),
            @"web1 is drained: it starts nothing new and goes on without runs; no run is under way there"
        );
        insta::assert_snapshot!(
            describe(&order(false), HostPresence::Ended, &ConcernedRuns::default()),
            @"web1 is drained and has ended; it stands by when it starts, until `leasehold undrain web1`"
        );
        insta::assert_snapshot!(
            describe(&order(false), HostPresence::Absent, &ConcernedRuns::default()),
            @"web1 is drained; it does not run now, and stands by when it starts, until `leasehold undrain web1`"
        );
    }
}
