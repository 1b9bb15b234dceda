//! Context of an event: what it is about.

use std::sync::Arc;

use leasehold_lock::Token;
use serde::Serialize;

/// Context of an event: the job, lock, token and run. Every part may be absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventContext {
    /// Name of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Arc<str>>,
    /// Name of the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Arc<str>>,
    /// Fencing token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Arc<str>>,
}
