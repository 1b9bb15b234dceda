//! Events of a running guest: output, log lines and progress.
//!
//! Every text here has passed [`leasehold_records::printable`], so consumers may print it unchanged. Events contain
//! no raw guest bytes.

use leasehold_lock::BootTime;

/// Event of a running guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEvent {
    /// A line of output or log.
    Line(Line),
    /// Progress that the guest reported. At most ten events a second; the last one is always sent.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, when known.
        total: Option<u64>,
        /// Description of the current work.
        message: String,
        /// Time at which the call was admitted.
        at: BootTime,
    },
}

/// One line of output or log, free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Stream of the line.
    pub stream: Stream,
    /// Level, for log lines.
    pub level: Option<Level>,
    /// The text, without a line end.
    pub text: String,
    /// Structured fields, for log lines.
    pub fields: Vec<(String, String)>,
    /// Time at which the host admitted the call that produced the line.
    pub at: BootTime,
}

/// Stream from which a line came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The `log` interface, or a remark of the host about the guest's output.
    Log,
}

impl Stream {
    /// Returns the name used in events and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log => "log",
        }
    }
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Finest detail.
    Trace,
    /// Detail for debugging.
    Debug,
    /// Normal operation.
    Info,
    /// Possible problem.
    Warn,
    /// Failure.
    Error,
}

impl Level {
    /// Returns the name used in events and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
