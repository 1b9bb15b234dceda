//! Errors of the dashboard.

use std::io;

use leasehold_lock::{ConnectError, StoreError};

use crate::source::RecordingError;

/// Error of the dashboard.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The file of keys and colours has errors.
    #[error("{0}")]
    Keys(String),
    /// The store cannot be reached, or refused the connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The store was reached, but a request failed.
    #[error("cannot read the locks: {0}")]
    Store(#[from] StoreError),
    /// The store was reached, and none of the requested prefixes can be read now.
    #[error("cannot read the locks: {0}")]
    Unread(String),
    /// The terminal cannot be used.
    #[error("cannot use the terminal: {0}")]
    Terminal(#[source] io::Error),
    /// The recording cannot be used.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

impl TopError {
    /// Exit code, the same as the host's: 2 usage, 3 configuration, 5 the store, 70 the rest.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Keys(_) => 3,
            Self::Connect(_) | Self::Store(_) | Self::Unread(_) => 5,
            Self::Terminal(_) | Self::Recording(_) => 70,
        }
    }
}
