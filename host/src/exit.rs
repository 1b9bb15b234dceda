//! All exit codes. They are an interface: scripts depend on the numbers.

use std::process::ExitCode;

use leasehold_supervisor::end::HostEnd;

/// Result of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, also for a host that was asked to stop and stopped.
    Ok,
    /// A `once` job failed, a triggered run, or a plugin that was tried.
    JobFailed,
    /// The command line cannot be understood (clap's own code).
    Usage,
    /// The configuration has errors; nothing was started.
    Config,
    /// A plugin was refused; nothing was started.
    Plugin,
    /// The store refused the client or could not be reached; the embedded one could not be opened, backed up or
    /// restored, or cannot listen.
    Store,
    /// A `once` job did not get its lock within its `wait`, or a run was not triggered: the job is paused, runs
    /// already, or was not taken in time. Also `lock` did not get its lock within `--wait`. Also a run was not restarted, since a pause or a drain holds it back.
    NotAcquired,
    /// Another host has the id of this one; nothing was started.
    IdHeld,
    /// The lock of `lock` was lost; its command was ended.
    Lost,
    /// Internal error.
    Internal,
    /// A signal cut the work short: a host's by the second one or SIGQUIT, that of a command which ends by itself by the
    /// first. Also a signal ended the wait for a run that goes on.
    Aborted,
    /// The end of the command of `lock`, as shells number it.
    OfCommand(u8),
}

impl Exit {
    /// The number.
    const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::JobFailed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Plugin => 4,
            Self::Store => 5,
            Self::NotAcquired => 6,
            Self::IdHeld => 7,
            Self::Lost => 8,
            Self::Internal => 70,
            Self::Aborted => 130,
            Self::OfCommand(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<HostEnd> for Exit {
    fn from(end: HostEnd) -> Self {
        match end {
            HostEnd::Done => Self::Ok,
            HostEnd::JobFailed => Self::JobFailed,
            HostEnd::NotAcquired => Self::NotAcquired,
            HostEnd::Aborted => Self::Aborted,
        }
    }
}
