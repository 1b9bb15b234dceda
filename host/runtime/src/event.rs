//! What a guest lets the world see while it runs.
//!
//! Every text here has passed [`leasehold_records::printable`]; consumers may print it as it is. This file must
//! never carry raw guest bytes.

use leasehold_lock::BootTime;

/// Something a running guest produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEvent {
    /// A line of output or log.
    Line(Line),
    /// How far the guest says it is. At most ten a second; the last one is always delivered.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, when known.
        total: Option<u64>,
        /// What is being done.
        message: String,
        /// When the call was admitted.
        at: BootTime,
    },
}

/// One line of output or log, free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// The level, for log lines.
    pub level: Option<Level>,
    /// The text, without a line end.
    pub text: String,
    /// Structured fields, for log lines.
    pub fields: Vec<(String, String)>,
    /// When the host admitted the call that produced the line.
    pub at: BootTime,
}

/// Where a line came from.
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
    /// The name used in events and records.
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
    /// For debugging.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// The name used in events and records.
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
