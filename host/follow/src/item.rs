//! Items of output, in the order in which a person reads them.

use leasehold_records::{OutputEnd, OutputLine, RunKey, RunRecord, UnixMs};

/// A run, as its first chunk describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// The job, the token, and the number under that token.
    pub key: RunKey,
    /// The host on which it runs.
    pub host: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The time when it started.
    pub started_unix_ms: UnixMs,
}

/// End of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnding {
    /// Published by its host.
    Published(OutputEnd),
    /// Recorded, by its host or by a later holder of the lock.
    Recorded(Box<RunRecord>),
    /// Neither: its host no longer publishes it, and no end is recorded yet.
    Unknown,
}

/// An item of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputItem {
    /// Output of this run begins.
    Began(RunHead),
    /// A line.
    Line {
        /// The run.
        run: RunKey,
        /// The line.
        line: OutputLine,
    },
    /// Output that is missing: the guest wrote more than is published.
    Gap {
        /// The run.
        run: RunKey,
        /// Its bytes.
        bytes: u64,
        /// True if it is the output before the first line.
        is_beginning: bool,
    },
    /// Everything that the host had of a running run has been returned.
    CaughtUp(RunKey),
    /// The run has ended.
    Ended(RunHead, RunEnding),
    /// The host no longer publishes the run, and no end is recorded yet. An end, or more output, may follow.
    Silent(RunHead),
    /// The store is out of reach, or may not be read; reading goes on by itself.
    Down {
        /// The reason.
        reason: String,
    },
    /// The store answers again.
    Up,
}
