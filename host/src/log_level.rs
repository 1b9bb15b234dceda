//! Level of logging: `--log-level` and `--quiet`.

use leasehold_supervisor::event_level::EventLevel;

/// Options about the amount of output.
#[derive(clap::Args)]
pub(crate) struct LogArgs {
    /// Print errors alone beside the output, no warnings and no notes: as --log-level error.
    #[arg(short, long, global = true, conflicts_with = "log_level")]
    quiet: bool,
    /// The least important events and log lines to print. [default: info for events, debug for those
    /// of `dev`, warn for other lines]
    ///
    /// At debug, a host also logs what happens to jobs that only wait or that other hosts run. `LEASEHOLD_LOG`
    /// selects the lines on standard error more finely, as in warn,leasehold_lock=debug.
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
}

/// A level of logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// Failures that need an operator.
    Error,
    /// Also what may need one.
    Warn,
    /// Also what happens to runs.
    Info,
    /// Also what happens to jobs that wait.
    Debug,
    /// Also details for developers, on standard error.
    Trace,
}

impl LogArgs {
    /// Returns the level that was chosen, if any.
    pub(crate) fn level(&self) -> Option<LogLevel> {
        let quiet = self.quiet.then_some(LogLevel::Error);
        quiet.or(self.log_level)
    }
}

impl LogLevel {
    /// Returns the level of events.
    pub(crate) const fn of_events(self) -> EventLevel {
        match self {
            Self::Error => EventLevel::Error,
            Self::Warn => EventLevel::Warn,
            Self::Info => EventLevel::Info,
            Self::Debug | Self::Trace => EventLevel::Debug,
        }
    }

    /// Returns the filter of the lines on standard error. Those of libraries are shown from warnings on.
    pub(crate) const fn of_lines(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "warn,leasehold=info",
            Self::Debug => "warn,leasehold=debug",
            Self::Trace => "warn,leasehold=trace",
        }
    }
}
