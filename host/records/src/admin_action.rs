//! Record of an operator's action: on other clients' locks, or on jobs and hosts.

use std::fmt;

use leasehold_ids::Token;
use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::unix_ms::UnixMs;

impl_json!(AdminActionRecord);

/// Action of an operator. The first three are on other clients' locks, and have a target; the others are orders to hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminAction {
    /// End a lease, and all keys attached to it.
    RevokeLease,
    /// Remove a waiter from a queue.
    RemoveEntry,
    /// Remove the holder from a queue, which stops what it runs.
    StopRun,
    /// Request one run of a job.
    Trigger,
    /// Keep new runs of a job, or of all jobs, from starting.
    Pause,
    /// End a pause.
    Resume,
    /// Keep a host from starting runs.
    Drain,
    /// End a drain.
    Undrain,
    /// Request the end of a run.
    Stop,
    /// Request the end of a run, and another at once.
    Restart,
}

impl AdminAction {
    /// Returns the action's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RevokeLease => "revoke-lease",
            Self::RemoveEntry => "remove-entry",
            Self::StopRun => "stop-run",
            Self::Trigger => "trigger",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// An admin action and its target; kept for some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminActionRecord {
    /// The action.
    #[serde(rename = "deed")]
    pub action: AdminAction,
    /// The operator, as user@machine; not verified.
    pub by: String,
    /// The full name of the lock; empty for an order to hosts, as are the next four fields.
    pub lock: String,
    /// The key of the queue entry.
    pub key: String,
    /// The create revision of that entry.
    pub token: Token,
    /// The lease, in hex.
    pub lease: String,
    /// The owner of that entry, if its value names one.
    pub whom: String,
    /// The time of the action.
    pub at_unix_ms: UnixMs,
    /// The job of an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The host of an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The operator's reason; empty if none was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl AdminActionRecord {
    /// Returns the record of an order to hosts, which has no lock as its target.
    pub fn of_order(action: AdminAction, by: String, why: String, at: UnixMs) -> Self {
        Self {
            action,
            by,
            lock: String::new(),
            key: String::new(),
            token: Token::default(),
            lease: String::new(),
            whom: String::new(),
            at_unix_ms: at,
            job: None,
            host: None,
            why,
        }
    }
}

/// The operator, the action and its target, as in `ann@vm pause of ledger: the disk is full`.
impl fmt::Display for AdminActionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of ", self.by, self.action.as_str())?;
        match (&self.job, &self.host) {
            (Some(job), Some(host)) => write!(f, "{job}@{host}")?,
            (Some(name), None) | (None, Some(name)) => f.write_str(name)?,
            (None, None) if self.lease.is_empty() => f.write_str("all jobs")?,
            (None, None) => write!(f, "{} (lease {})", self.whom, self.lease)?,
        }
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}
