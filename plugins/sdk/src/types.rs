//! Values that pass between a job and its host, in this crate's own types.
//!
//! Pure data: nothing here calls the host, so that `host` and everything above it can share them.

use std::str::{self, Utf8Error};

/// Identity of a run, constant while the run lasts.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) job: String,
    pub(crate) run_id: String,
    pub(crate) attempt: u32,
    /// In milliseconds since the Unix epoch.
    pub(crate) scheduled_at: Option<u64>,
    pub(crate) trigger: Trigger,
}

/// Cause of a run's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Its schedule came round.
    Schedule,
    /// A person requested it.
    Manual,
    /// A watched key changed. Reserved in the contract: no host sends it yet.
    Watch,
    /// The job is kept running: the first start, or a restart.
    Continuous,
}

/// Importance of a log line, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step, for the author of the job.
    Trace,
    /// Details that explain a problem.
    Debug,
    /// Events of normal operation.
    Info,
    /// Something unexpected that the job could deal with.
    Warn,
    /// Something failed.
    Error,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, in the form in which [`Kv::get`](crate::Kv::get) takes it.
    pub key: String,
    /// The value, as it was written.
    pub value: Vec<u8>,
    /// The store's revision at which this value was written; never 0.
    pub mod_revision: u64,
}

impl Entry {
    /// The value as text.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.value)
    }
}
