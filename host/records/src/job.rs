//! Record of a job on one host.

use leasehold_ids::Token;
use serde::{Deserialize, Serialize};

use crate::control::JobHold;
use crate::json::impl_json;
use crate::run::Outcome;
use crate::unix_ms::UnixMs;

impl_json!(JobRecord);

/// State of a job on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Until its next time, or until its next attempt.
    Sleeping,
    /// In the queue of its lock.
    Waiting,
    /// Not in the queue of its lock, because this host lacks what a run needs.
    StandingBack,
    /// Its guest runs and the lock is held.
    Running,
    /// Between two runs under the same grant.
    Pausing,
    /// Ended for good, successfully.
    Finished,
    /// Ended for good, with a failure.
    Failed,
}

impl JobState {
    /// Returns the state's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sleeping => "sleeping",
            Self::Waiting => "waiting",
            Self::StandingBack => "standing-back",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// Progress that a run reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The present step.
    pub message: String,
}

/// A job on one host: its record ends with the host's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: String,
    /// The host.
    pub host: String,
    /// The short name of its lock; of several, all names with `+` between.
    pub lock: String,
    /// Its state.
    pub state: JobState,
    /// The time when that state began.
    pub since_unix_ms: UnixMs,
    /// The fencing token it runs under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The time when it continues, while sleeping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_unix_ms: Option<UnixMs>,
    /// The outcome of its last run on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// A sentence about the state: why it failed, or the reason of its wait.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The progress that the run reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The holds that keep new runs from starting here, as this host has seen them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<JobHold>,
    /// The version that waits for the end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingVersion>,
    /// Its schedule and its place in it; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<JobPlan>,
    /// The files that define it on this host; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<JobFiles>,
}

/// A version of a job that waits for the end of a run of the version before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingVersion {
    /// The digest of its plugin, SHA-256 in hex.
    pub plugin_sha256: String,
    /// The time since when it waits.
    pub since_unix_ms: UnixMs,
}

/// Schedule of a job on one host, and its place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlan {
    /// The schedule as a configuration has it: `cron = "0 3 * * *"`, `every = "30s"`, `once = true`; `continuous`
    /// without one.
    pub schedule: String,
    /// The IANA name of the time zone of a cron expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The tick that the job sleeps until. Absent in any other state, and in a pause after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_unix_ms: Option<UnixMs>,
    /// Seconds by which the zone's clock is ahead of UTC at that tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_offset_s: Option<i32>,
    /// The part of the record's detail about the state itself, without operators' orders and a version that waits.
    /// Absent if the detail is that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of the attempt that follows a pause after a failure, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// Versions of the files that define a job on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFiles {
    /// Digest of the plugin that the next run uses, SHA-256 in hex.
    pub plugin_sha256: String,
    /// The start of a digest of the job's settings, in hex. Hosts with equal settings have equal digests.
    pub settings: String,
}
