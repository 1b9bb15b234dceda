//! How a run ended, and what was measured while it ran.
//!
//! Facts only: what follows from them (retry, back off, give up) is the supervisor's.

use std::time::Duration;

use leasehold_lock::{BootTime, EndReason};

use super::limit::Limit;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The guest finished; plain commands exited with zero.
    Done(Option<String>),
    /// The guest wants to keep the lock and run again after this time.
    Again(Duration),
    /// The guest failed and thinks that another attempt may succeed.
    Retry(String),
    /// The guest failed for good.
    Fatal(String),
    /// A plain command exited with this status, not zero.
    Exit(i32),
    /// The guest broke a rule of WebAssembly or of its interfaces.
    Trap {
        /// A short stable word, such as `unreachable`.
        kind: &'static str,
        /// What happened.
        message: String,
    },
    /// The guest died of a limit.
    Limit {
        /// Which one.
        limit: Limit,
        /// What happened and which key raises the limit.
        message: String,
    },
    /// The tenure ended while the guest ran.
    Lost(EndReason),
    /// The run took longer than its timeout.
    TimedOut,
    /// The guest was never made: something on this host was lacking. Nothing of it has run.
    Unstarted(String),
    /// The supervisor stopped it: aborted, or still running when the grace was over.
    Stopped,
}

impl RunEnd {
    /// The word used in events and records.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Again(_) => "again",
            Self::Retry(_) | Self::Unstarted(_) => "retry",
            Self::Fatal(_) => "fatal",
            Self::Exit(_) => "exit",
            Self::Trap { .. } => "trap",
            Self::Limit { .. } => "limit",
            Self::Lost(_) => "lost",
            Self::TimedOut => "timeout",
            Self::Stopped => "stopped",
        }
    }
}

impl RunReport {
    /// The report of a run whose guest was never started.
    pub fn of_nothing(end: RunEnd, now: BootTime, deadline: BootTime) -> Self {
        Self {
            end,
            started_at: now,
            stopped_at: now,
            first_admitted: None,
            last_admitted: None,
            deadline,
            admitted: 0,
            refused: 0,
            peak_memory_bytes: 0,
            output: String::new(),
            output_truncated_bytes: 0,
            lines_dropped: 0,
            backtrace: None,
        }
    }
}

/// One finished run. The guest is gone when this exists: its store has been dropped.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// How it ended.
    pub end: RunEnd,
    /// When the run began, before the guest was instantiated.
    pub started_at: BootTime,
    /// When the guest was gone.
    pub stopped_at: BootTime,
    /// When the first host call was let through, on the boot-time clock.
    pub first_admitted: Option<BootTime>,
    /// When the last host call was admitted. Always before `deadline`.
    pub last_admitted: Option<BootTime>,
    /// The deadline as it last stood. A tenure that was ended early stopped admitting before it.
    pub deadline: BootTime,
    /// Calls of host functions that were let through.
    pub admitted: u64,
    /// Entries into the host that were refused because the tenure had ended. At most one in
    /// practice: the refusal ends the guest.
    pub refused: u64,
    /// The most linear memory in use at once, in bytes.
    pub peak_memory_bytes: u64,
    /// The end of the captured output, within [`Limits::output_bytes`](leasehold_config::limits::Limits).
    pub output: String,
    /// Bytes of captured output that did not fit `output`.
    pub output_truncated_bytes: u64,
    /// Lines that were not passed on as events: over the rate, or nobody read.
    pub lines_dropped: u64,
    /// Where in the guest it died, when that is known.
    pub backtrace: Option<String>,
}
