//! All exit codes. They are an interface: scripts depend on the numbers.

use std::process::ExitCode;

use leasehold_supervisor::end::HostEnd;

/// Result of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, also for a host that was asked to stop and stopped.
    Ok = 0,
    /// A `once` job failed, a triggered run, or a plugin that was tried.
    JobFailed = 1,
    /// The command line cannot be understood (clap's own code).
    Usage = 2,
    /// The configuration has errors; nothing was started.
    Config = 3,
    /// A plugin was refused; nothing was started.
    Plugin = 4,
    /// The store refused the client or could not be reached; the embedded one could not be opened, backed up or
    /// restored, or cannot listen.
    Store = 5,
    /// A `once` job did not get its lock within its `wait`, or a run was not triggered: the job is paused, runs
    /// already, or was not taken in time. Also a run was not restarted, since a pause or a drain holds it back.
    NotAcquired = 6,
    /// Another host has the id of this one; nothing was started.
    IdHeld = 7,
    /// Internal error.
    Internal = 70,
    /// A signal cut the work short: a host's by the second one or SIGQUIT, that of a command which ends by itself by the
    /// first. Also a signal ended the wait for a run that goes on.
    Aborted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
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
