//! Records of a host: itself, and the claim on its id.

use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::unix_ms::UnixMs;

impl_json!(HostRecord, IdRecord);

/// A live host: its record ends with its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The host's id.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The time when it started.
    pub started_unix_ms: UnixMs,
    /// Its jobs.
    pub jobs: Vec<String>,
    /// The start of a digest of its jobs' settings and plugins, in hex. Hosts with equal jobs have equal digests.
    /// Empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub files: String,
}

/// The claim of one process on a host's id: it ends with its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRecord {
    /// The host's id.
    pub host: String,
    /// Random text of the data directory: a restart keeps it.
    pub instance: String,
    /// Random text of the process: a restart draws another.
    pub life: String,
    /// The machine's name.
    pub machine: String,
    /// The process id on that machine.
    pub pid: u32,
    /// The time when the process took the id.
    pub since_unix_ms: UnixMs,
}
