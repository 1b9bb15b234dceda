//! Record of a waiter or holder, in its queue entry.

use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::unix_ms::UnixMs;

impl_json!(HolderRecord);

/// Value of a queue entry: the waiter or holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRecord {
    /// The host's id.
    pub host: String,
    /// The job that needs the lock.
    pub job: String,
    /// The host's process id.
    pub pid: u32,
    /// The time when it joined the queue.
    pub since_unix_ms: UnixMs,
}
