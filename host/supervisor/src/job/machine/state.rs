//! States of a job, and the moments, turns and results in them.

use leasehold_config::wall::UnixMs;
use leasehold_lock::{BootTime, Token};

/// The current moment: pauses are measured on the boot-time clock, ticks come by wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeNow {
    pub(crate) boot: BootTime,
    pub(crate) wall: UnixMs,
}

/// A moment on one of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeTime {
    Boot(BootTime),
    Wall(UnixMs),
}

/// Attempt and tick of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunTurn {
    /// Number of the attempt, from 1; grows with each retry of a failed run.
    pub(crate) attempt: u32,
    /// The tick of the run; `None` for a job without ticks.
    pub(crate) tick: Option<UnixMs>,
}

impl RunTurn {
    /// Returns the first attempt at this tick.
    pub(super) const fn first(tick: UnixMs) -> Self {
        Self {
            attempt: 1,
            tick: Some(tick),
        }
    }
}

/// A sleep between two turns of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobSleep {
    pub(crate) until: WakeTime,
    pub(crate) next: RunTurn,
    /// Reason of the job's last failure; empty if nothing has failed since its last success.
    pub(crate) detail: String,
    /// Time when the request was sent that the store did not answer, if the job sleeps for that reason.
    pub(crate) unanswered: Option<BootTime>,
}

impl JobSleep {
    /// Returns a sleep that follows no failure.
    pub(super) const fn new(until: WakeTime, next: RunTurn) -> Self {
        Self {
            until,
            next,
            detail: String::new(),
            unanswered: None,
        }
    }
}

/// End of a lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LackEnd {
    /// The job has its turn for a slot.
    Slot,
    /// The lack is looked for again at this moment.
    At(BootTime),
    /// The order that holds the job has ended.
    Hold,
}

/// Current activity of a job, whose runs need provisions `P`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MachineState<P> {
    /// Waits for the timer; then starts the next turn.
    Sleeping(JobSleep),
    /// Reads whether its tick is done already. A `late` tick is run only if a host has begun it.
    Looking {
        turn: RunTurn,
        late: bool,
        /// The resources of the run, if it stood back for them before.
        provisions: Option<P>,
        /// Reason of the job's last failure, as in [`JobSleep`].
        detail: String,
    },
    /// Gets the resources that the run needs on this host, and then waits in the queue of its lock.
    Waiting {
        turn: RunTurn,
        /// Time when this began.
        requested: BootTime,
    },
    /// Waits without lock and queue entry, because this host lacks something.
    StandingBack {
        turn: RunTurn,
        until: LackEnd,
        /// The lack, as a sentence.
        reason: String,
    },
    /// The lock is held, and the tick is being claimed.
    Claiming {
        turn: RunTurn,
        /// Time when the claim was requested.
        requested: BootTime,
        provisions: P,
    },
    /// The guest runs.
    Running {
        turn: RunTurn,
        since: BootTime,
        /// Token of the held lock.
        token: Token,
    },
    /// The lock is kept between two runs.
    Pausing {
        turn: RunTurn,
        /// Token of the held lock.
        token: Token,
    },
    /// The guest has stopped, and its tick is being marked; then the lock is given back, and then `then`.
    Marking { then: NextStep },
    /// The guest has stopped and the lock is being given back; then `then`.
    Releasing { then: NextStep },
    /// The job has ended and does not run again.
    Ended(JobEnding),
}

impl<P> MachineState<P> {
    /// Returns the reason of the last failure, or of standing back, for the job's record. Empty if there is none.
    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Sleeping(sleep) => &sleep.detail,
            Self::Looking { detail: text, .. }
            | Self::StandingBack { reason: text, .. }
            | Self::Ended(JobEnding::Failed(text) | JobEnding::NotAcquired(text)) => text,
            Self::Waiting { .. }
            | Self::Claiming { .. }
            | Self::Running { .. }
            | Self::Pausing { .. }
            | Self::Marking { .. }
            | Self::Releasing { .. }
            | Self::Ended(JobEnding::Finished | JobEnding::Stopped) => "",
        }
    }

    /// Returns the token of the lock under which a guest runs or pauses.
    pub(crate) const fn token(&self) -> Option<Token> {
        match self {
            Self::Running { token, .. } | Self::Pausing { token, .. } => Some(*token),
            _ => None,
        }
    }
}

/// Next step after a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    Wait(RunTurn),
    Sleep(JobSleep),
    StandBack {
        turn: RunTurn,
        until: LackEnd,
        reason: String,
    },
    End(JobEnding),
}

/// Final result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobEnding {
    /// A `once` job that succeeded.
    Finished,
    /// The last run failed and is not retried.
    Failed(String),
    /// A `once` job that did not get its lock within its waiting time.
    NotAcquired(String),
    /// The host was asked to stop.
    Stopped,
}
