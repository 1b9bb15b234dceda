//! Contents of events about changes of the configuration.

use serde::Serialize;

/// A job that changed while the host ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedJob {
    /// Path of the plugin.
    pub plugin: String,
    /// SHA-256 of the plugin, in hex.
    pub sha256: String,
    /// Moment from which the change counts.
    pub from: &'static str,
    /// Reason for which another file defines the job now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Changes by a configuration that was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadCounts {
    /// Number of jobs added.
    pub added: usize,
    /// Number of jobs changed.
    pub changed: usize,
    /// Number of jobs removed.
    pub removed: usize,
    /// Changes that need a restart, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
}
