//! Record of an operator's action on other clients' locks.

use leasehold_ids::Token;
use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::unix_ms::UnixMs;

impl_json!(AdminActionRecord);

/// Action of an operator on other clients' locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminAction {
    /// End a lease, and all keys attached to it.
    RevokeLease,
    /// Remove a waiter from a queue.
    RemoveEntry,
    /// Remove the holder from a queue, which stops what it runs.
    StopRun,
}

impl AdminAction {
    /// Returns the action's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RevokeLease => "revoke-lease",
            Self::RemoveEntry => "remove-entry",
            Self::StopRun => "stop-run",
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
    /// The full name of the lock.
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
}
