//! Manners of the commands: what they print beside their output, and what ends them.

use super::Command;
use crate::log_format::LogFormat;
use crate::log_level::LogLevel;
use leasehold_supervisor::event_level::EventLevel;

impl Command {
    /// Filter of log lines if `LEASEHOLD_LOG` is not set: none while a dashboard has the terminal.
    pub(super) fn line_filter(&self, level: Option<LogLevel>) -> &'static str {
        let is_taken = match self {
            Self::Top(args) => args.takes_terminal(),
            Self::Dev(args) => args.takes_terminal(),
            _ => false,
        };
        if is_taken {
            "off"
        } else {
            level.unwrap_or(LogLevel::Warn).of_lines()
        }
    }

    /// Level of events if none is chosen. `dev` shows the jobs that wait.
    pub(super) const fn event_level(&self) -> EventLevel {
        match self {
            Self::Dev(_) => EventLevel::Debug,
            _ => EventLevel::Info,
        }
    }

    /// Format of the log beside the events.
    pub(super) fn log_format(&self) -> LogFormat {
        match self {
            Self::Run(args) => args.log_format,
            Self::Dev(args) => args.log_format(),
            Self::Store { command } => command.log_format(),
            _ => LogFormat::Text,
        }
    }

    /// Returns true for a command that a signal ends at once, with what it has begun.
    pub(super) const fn ends_at_signal(&self) -> bool {
        match self {
            Self::Check(_) => true,
            Self::Plugin { command } => command.ends_at_signal(),
            _ => false,
        }
    }

    /// Returns true for a command that runs until a signal ends it. No reader may delay its end.
    pub(super) const fn goes_on(&self) -> bool {
        match self {
            Self::Run(_) | Self::Dev(_) => true,
            Self::Store { command } => command.goes_on(),
            _ => false,
        }
    }
}
