//! Items of output, in the order in which a person reads them.

use leasehold_records::{Outcome, OutputEnd, OutputLine, RunKey, RunRecord, UnixMs};

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

/// Reason for which output is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// It came before what is kept of the run.
    Earlier,
    /// The guest wrote more than its host publishes.
    Unsent,
    /// The host could not keep it in its files.
    Unkept,
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
    /// A line of the run's record, which has no times and no streams.
    RecordedLine {
        /// The run.
        run: RunKey,
        /// The text, without a line end.
        text: String,
    },
    /// Output that is missing.
    Gap {
        /// The run.
        run: RunKey,
        /// Its bytes.
        bytes: u64,
        /// The reason.
        cause: GapCause,
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

impl RunHead {
    /// Returns the head of a recorded run.
    pub fn of_record(record: &RunRecord) -> Self {
        Self {
            key: record.key(),
            host: record.host.clone(),
            attempt: record.attempt,
            started_unix_ms: record.started_unix_ms,
        }
    }
}

impl RunEnding {
    /// Returns the outcome, if it is known.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Published(end) => Some(end.outcome),
            Self::Recorded(record) => Some(record.outcome),
            Self::Unknown => None,
        }
    }
}

impl OutputItem {
    /// Returns the run that it is about, if it is about one.
    pub const fn run(&self) -> Option<&RunKey> {
        match self {
            Self::Began(head) | Self::Ended(head, _) | Self::Silent(head) => Some(&head.key),
            Self::Line { run, .. }
            | Self::RecordedLine { run, .. }
            | Self::Gap { run, .. }
            | Self::CaughtUp(run) => Some(run),
            Self::Down { .. } | Self::Up => None,
        }
    }
}
