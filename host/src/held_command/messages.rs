//! Orders to the keeper and its reports: one JSON object a line.

use leasehold_lock::BootTime;
use serde::{Deserialize, Serialize};

/// Moments at which the command is ended, unless they are moved before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldLimits {
    /// The moment of SIGTERM, in nanoseconds of the boot-time clock.
    term_ns: u64,
    /// The moment of SIGKILL, in nanoseconds of the boot-time clock.
    kill_ns: u64,
}

impl HoldLimits {
    pub(crate) const fn new(term: BootTime, kill: BootTime) -> Self {
        Self {
            term_ns: term.as_nanos(),
            kill_ns: kill.as_nanos(),
        }
    }

    /// The moment of SIGTERM.
    pub(crate) const fn term(self) -> BootTime {
        BootTime::from_nanos(self.term_ns)
    }

    /// The moment of SIGKILL.
    pub(crate) const fn kill(self) -> BootTime {
        BootTime::from_nanos(self.kill_ns)
    }
}

/// Order to the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeeperOrder {
    /// Start the command.
    Start(HoldLimits),
    /// The lease was renewed: the limits have moved.
    Extend(HoldLimits),
    /// Pass this signal on to the command.
    Signal(i32),
    /// End the command.
    End(EndHaste),
}

/// Time that a command has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndHaste {
    /// The lock is in doubt: SIGTERM now, and SIGKILL after the grace, or before the lease can end.
    Grace,
    /// The lock is lost: SIGKILL now.
    Now,
}

/// Report of the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeeperReport {
    /// The command was not started, for this reason.
    NotStarted(String),
    /// The command has ended.
    Ended {
        /// Its end.
        end: CommandEnd,
        /// True if it was asked to end, because of a limit or an order.
        was_asked: bool,
        /// The moment at which the keeper saw it, in nanoseconds of the boot-time clock.
        at_ns: u64,
    },
    /// These processes of the command live on, though they were killed or cannot be.
    Remaining(Vec<i32>),
    /// No process of the command is left. The last report.
    Cleared,
}

/// End of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CommandEnd {
    /// It ended with this exit code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl CommandEnd {
    /// The exit code that shells give such an end.
    pub(crate) fn exit_code(self) -> u8 {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

/// Returns a message as a line.
pub(super) fn to_line(message: &impl Serialize) -> Vec<u8> {
    // Such values have no map with keys that are not text, so nothing can fail.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_command_has_the_exit_code_of_shells() {
        assert_eq!(CommandEnd::Code(0).exit_code(), 0);
        assert_eq!(CommandEnd::Code(255).exit_code(), 255);
        assert_eq!(CommandEnd::Signal(9).exit_code(), 137);
        assert_eq!(CommandEnd::Signal(15).exit_code(), 143);
    }

    #[test]
    fn message_is_one_line_that_reads_back() {
        let limits = HoldLimits::new(BootTime::from_nanos(5), BootTime::from_nanos(u64::MAX));
        let line = to_line(&KeeperOrder::Start(limits));
        assert_eq!(
            line.iter().position(|byte| *byte == b'\n'),
            Some(line.len() - 1)
        );
        let read: KeeperOrder = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, KeeperOrder::Start(limits));
    }
}
