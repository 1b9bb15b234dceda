//! Input of the job machine: the ends of pieces of work.

use std::time::Duration;

use leasehold_config::wall::UnixMs;
use leasehold_records::{Outcome, StopKind};

use crate::job::lack::RunLack;

/// End of a piece of work. A grant `G` and provisions `P` that the work had are handed back with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MachineEvent<G, P> {
    /// The timer of `Sleeping` has ended, or the wall clock that it follows was set.
    Woke,
    /// The sleep ended early: the store answers again.
    StoreBack,
    /// The sleep or the wait for a lacking resource was cut short because the host stops.
    Cancelled,
    /// A tick was read without the lock.
    Looked(TickLook),
    /// The job stood back, and the lack may have ended. All that the run needs but the lock is reserved; `None` if
    /// a new version of the job has taken this one's place.
    Ready(Option<P>),
    /// The job stood back, and its next run lacks something, still or again.
    Lacks(RunLack),
    /// The job stood back by an order, and the order has ended.
    HoldEnded,
    /// The lock was acquired, with the resources of its run.
    Acquired { grant: G, provisions: P },
    /// No grant was acquired.
    Missed(AcquireMiss),
    /// The claim of a tick was answered or given up.
    Claimed { grant: G, claim: TickClaim },
    /// The guest has stopped, or was not started.
    RunEnded {
        grant: G,
        verdict: RunVerdict,
        outcome: Outcome,
    },
    /// The pause between two runs under one grant has ended.
    PauseEnded { grant: G, end: PauseEnd<P> },
    /// The tick is marked, or marking it was given up.
    Marked { grant: G },
    /// The grant was given back.
    Released,
}

/// Effect of a run's end on the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunVerdict {
    /// The run succeeded.
    Done,
    /// The guest asked to keep the lock and to run again after this pause.
    Again(Duration),
    /// The run failed, and a retry may succeed.
    Failed(String),
    /// The run failed, and a retry would fail too.
    Fatal(String),
    /// The lock was lost.
    Lost,
    /// The host stopped the run.
    Stopped,
    /// The run alone was requested to end. The text names the operator and the reason.
    Halted(StopKind, String),
    /// The guest was never started.
    Lacks(RunLack),
}

/// Reason for which no grant was acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AcquireMiss {
    /// Another holder kept the lock for longer than the job was to wait.
    Contended(String),
    /// A failure that may have passed after a pause.
    Trouble(String),
    /// The store did not answer.
    Unanswered(String),
    /// Something was lacking: the lock was not requested, or was given back at once.
    Lacks(RunLack),
    /// The host stops.
    Cancelled,
}

/// End of a pause under a kept lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PauseEnd<P> {
    /// The pause is over, and the next run has these resources.
    Over(P),
    /// The pause is over, and the next run lacks something.
    Lacks(RunLack),
    /// The lock was lost.
    Lost,
    /// The host stops.
    Cancelled,
    /// The end of the runs under this lock was requested. The text names the operator and the reason.
    Halted(StopKind, String),
}

/// State of a tick as read without the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TickLook {
    /// No host has begun it, or it could not be read.
    Open,
    /// A host has begun it and not finished it yet.
    Begun,
    /// The tick is done, or a later one has been begun.
    Over { known: UnixMs, reason: String },
    /// This host lacks something to run the tick now.
    Lacks(RunLack),
}

/// Result of claiming a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TickClaim {
    /// This host claimed the tick, which may be newer than the one requested.
    Ours { tick: UnixMs, attempt: u32 },
    /// The tick is done, or a later one has been begun.
    Over { known: UnixMs, reason: String },
    /// An attempt at it has failed, and the next one is not due yet.
    NotYet { wait: Duration, reason: String },
    /// This host lacks something to run the tick now.
    Lacks(RunLack),
    /// The lock was lost before the tick was claimed.
    Lost,
    /// A failure that may have passed after a pause.
    Trouble(String),
}

/// New state of a tick in its record, once its run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TickMark {
    /// The tick is not to be run again.
    Done,
    /// The tick is to be run again, by the next holder of the lock, but not before this time.
    Retry { not_before: UnixMs },
}
