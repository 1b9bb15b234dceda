//! Error of a command, with its exit code.

use std::process::ExitCode;

use leasehold_records::printable;

use crate::exit::Exit;
use crate::sink;
use leasehold_config::Report;
use leasehold_runtime::RuntimeError;
use leasehold_supervisor::connect::StoreSetupError;
use leasehold_supervisor::end::HostError;
use leasehold_supervisor::last_words;
use leasehold_supervisor::prepare::PrepareError;

/// A message for a person and a code for a script. The message may have several lines; `cli` makes it printable.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) const fn new(exit: Exit, message: String) -> Self {
        Self { exit, message }
    }

    /// A message of one line. Line ends in it come from elsewhere, such as a server's message, and are replaced.
    pub(crate) fn of_line(exit: Exit, message: &str) -> Self {
        Self::new(exit, printable::whole(message))
    }

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        Self::of_line(Exit::Internal, &error.to_string())
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::new(Exit::Config, report.to_string())
    }
}

impl From<StoreSetupError> for Failure {
    fn from(error: StoreSetupError) -> Self {
        Self::of_line(Exit::Store, &error.to_string())
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let text = error.to_string();
        match error {
            HostError::Connect(error) => error.into(),
            HostError::ClaimRefused { .. } => Self::new(Exit::Store, text),
            HostError::IdHeld(_) => Self::new(Exit::IdHeld, text),
            HostError::Internal(_) => Self::of_line(Exit::Internal, &text),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let exit = match error {
            // The operator can repair the path to the data_dir.
            PrepareError::Runtime(RuntimeError::CacheDir(_)) => Exit::Config,
            PrepareError::Runtime(_) => Exit::Internal,
            PrepareError::Plugins(_) => Exit::Plugin,
        };
        Self::new(exit, error.to_string())
    }
}

/// Prints the failure of a command, if any, and returns the exit code. No reader may delay one that `goes_on`.
pub(crate) fn end(ended: Result<Exit, Failure>, goes_on: bool) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let message = failure.message.trim_end();
            let prefix = if message.starts_with("error") {
                ""
            } else {
                "error: "
            };
            let text = format!("{prefix}{message}\n");
            if goes_on {
                last_words::write(std::io::stderr(), sink::printable(&text));
            } else {
                sink::print_error(&text);
            }
            failure.exit.into()
        }
    }
}
