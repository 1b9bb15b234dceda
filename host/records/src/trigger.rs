//! Records of requested runs.

use std::collections::BTreeMap;

use leasehold_ids::Token;
use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::manual_run::ManualRun;
use crate::run::Outcome;
use crate::unix_ms::UnixMs;

impl_json!(TriggerRecord);

/// State of a requested run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TriggerState {
    /// No host has taken it.
    Open,
    /// A host took it under its lock. It is never run again, whatever happens to that host.
    Claimed {
        /// The host.
        runs_on: String,
        /// The key of the lock entry it runs under.
        lock_key: String,
        /// The fencing token of the run.
        token: Token,
        /// The run's id.
        run_id: String,
    },
    /// Its run has ended.
    Ended {
        /// The host.
        runs_on: String,
        /// The fencing token of the run.
        token: Token,
        /// The run's id.
        run_id: String,
        /// The outcome of the run.
        outcome: Outcome,
        /// The reason, in a sentence.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A host found that it cannot be run as requested.
    Refused {
        /// The host.
        refused_by: String,
        /// The reason, in a sentence.
        reason: String,
    },
}

impl TriggerState {
    /// Returns true if a host may still take it.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// One requested run. Its key is deleted with its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerRecord {
    /// Its id, unique among the requests for the job.
    pub id: String,
    /// The job.
    pub job: String,
    /// The operator, as user@machine; not verified.
    pub by: String,
    /// The operator's reason; empty if none was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The time of the request.
    pub at_unix_ms: UnixMs,
    /// Values for keys of the job's `config` table, as text: each becomes the type of the value that it replaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// The only host that may run it; any host if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its state.
    #[serde(flatten)]
    pub state: TriggerState,
}

impl From<&TriggerRecord> for ManualRun {
    fn from(trigger: &TriggerRecord) -> Self {
        Self {
            trigger: trigger.id.clone(),
            by: trigger.by.clone(),
            why: trigger.why.clone(),
            config: trigger.config.clone(),
        }
    }
}
