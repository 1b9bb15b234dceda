//! Locations of secrets, without their values.
//!
//! References may be printed, compared and logged: they never hold a value.

use std::fmt;
use std::path::PathBuf;

/// Location of a secret's value, which is read anew for each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// A file, which only its owner may read. One line end at its end is not part of the value.
    File(PathBuf),
    /// A variable of the host's own environment.
    Env(String),
    /// A credential that the service manager passes to the host, by its name.
    Credential(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

/// Value of an environment variable of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// A plain text.
    Text(String),
    /// The job's secret of this name.
    Secret(String),
}
