//! Report of a run: its end, and measurements of it.
//!
//! It contains facts only. The supervisor decides what follows from them: retry, back off or give up.

use std::time::Duration;

use leasehold_lock::{BootTime, EndReason};

use leasehold_config::LimitKey;

/// End of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The guest finished. A plain command exited with zero.
    Done(Option<String>),
    /// The guest wants to keep the lock and run again after this time.
    Again(Duration),
    /// The guest failed and reported that another attempt may succeed.
    Retry(String),
    /// The guest failed for good.
    Fatal(String),
    /// A plain command exited with this status, not zero.
    Exit(i32),
    /// The guest broke a rule of WebAssembly or of its interfaces.
    Trap {
        /// A short stable word, such as `unreachable`.
        kind: &'static str,
        /// Description of the error.
        message: String,
    },
    /// The guest was ended by a limit.
    Limit {
        /// The limit.
        limit: LimitKey,
        /// Description of the error, and the key that raises the limit.
        message: String,
    },
    /// The tenure ended while the guest ran.
    Lost(EndReason),
    /// The run took longer than its timeout.
    TimedOut,
    /// The guest was never instantiated, because this host lacked a resource. None of its code ran.
    Unstarted(String),
    /// The supervisor stopped it: it was aborted, or still ran at the end of the grace period.
    Stopped,
}

impl RunEnd {
    /// Returns the word used in events and records.
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
    /// Makes the report of a run whose guest was never started.
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

/// One finished run. When this exists, the guest's store has been dropped.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// End of the run.
    pub end: RunEnd,
    /// Time at which the run began, before the guest was instantiated.
    pub started_at: BootTime,
    /// Time at which the guest had been dropped.
    pub stopped_at: BootTime,
    /// Time of the first admitted host call, on the boot-time clock.
    pub first_admitted: Option<BootTime>,
    /// Time of the last admitted host call. Always before `deadline`.
    pub last_admitted: Option<BootTime>,
    /// Last value of the deadline. A tenure that ended early stopped admitting before it.
    pub deadline: BootTime,
    /// Number of admitted calls of host functions.
    pub admitted: u64,
    /// Number of entries into the host that were refused because the tenure had ended. At most one
    /// in practice: the refusal ends the guest.
    pub refused: u64,
    /// Largest amount of linear memory in use at once, in bytes.
    pub peak_memory_bytes: u64,
    /// The end of the captured output, within [`Limits::output_bytes`](leasehold_config::limits::Limits).
    pub output: String,
    /// Bytes of captured output that did not fit `output`.
    pub output_truncated_bytes: u64,
    /// Number of lines that were not sent as events: over the rate limit, or the channel was full.
    pub lines_dropped: u64,
    /// Backtrace of the guest at its end, if known.
    pub backtrace: Option<String>,
}
