//! Where a secret is, and never what it is.
//!
//! References may be printed, compared and logged. This file must never hold a value.

use std::fmt;
use std::path::PathBuf;

/// Where a secret's value is read, anew for each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In this file, which only its owner may read. One line end at its end is not part of it.
    File(PathBuf),
    /// In this variable of the host's own environment.
    Env(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// What an environment variable of a guest is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// This text.
    Text(String),
    /// The job's secret of this name.
    Secret(String),
}
