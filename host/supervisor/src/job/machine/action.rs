//! Output of the job machine: pieces of work to start, and lines to log.

use std::time::Duration;

use leasehold_config::wall::UnixMs;
use leasehold_lock::BootTime;
use leasehold_records::Outcome;

use super::event::TickMark;
use super::state::{JobEnding, LackEnd, RunTurn, WakeTime};
use crate::job::lack::RunLack;

/// A piece of work, which ends in one event, or a line of the log. Work under the lock takes the grant `G`, and a
/// run its provisions `P`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MachineAction<G, P> {
    /// Sleep until then, or until the wall clock is set. If the store did not answer a request, its return ends the
    /// sleep too.
    Sleep {
        until: WakeTime,
        /// Time when the request was sent that the store did not answer.
        unanswered: Option<BootTime>,
    },
    /// Read the state of this tick.
    Look { tick: UnixMs },
    /// Get what the run needs on this host, if it is not here already, and join the queue.
    Acquire(Option<P>),
    /// Wait for this end of the lack; then get what the run needs on this host.
    StandBack { until: LackEnd },
    /// Claim this tick. If no host has begun it and a newer one is due, claim the newest.
    Claim {
        grant: G,
        tick: UnixMs,
        newest: UnixMs,
    },
    /// Run the guest.
    Run {
        grant: G,
        provisions: P,
        turn: RunTurn,
    },
    /// Keep the grant for this long.
    Pause { grant: G, pause: Duration },
    /// Write the new state of this tick, whose run had this outcome.
    Mark {
        grant: G,
        tick: UnixMs,
        mark: TickMark,
        outcome: Outcome,
    },
    /// Give the grant back.
    Release(G),
    /// Log that a run is skipped.
    LogSkipped(String),
    /// Log that another host runs it.
    LogElsewhere(String),
    /// Log that other hosts have to run the job for now.
    LogStandingBack(RunLack),
    /// Log that the job is tried again after a pause.
    LogBackoff { delay: Duration, reason: String },
    /// Log the final result.
    LogEnded(JobEnding),
}
