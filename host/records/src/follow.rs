//! Record of a reader that follows the output of a job's runs.

use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::unix_ms::UnixMs;

impl_json!(FollowRecord);

/// A request for the live output of one job. It lives under the reader's own lease; hosts publish while it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowRecord {
    /// The job.
    pub job: String,
    /// The reader, as user@machine; not verified.
    pub by: String,
    /// The only host whose output is requested; all hosts' if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The time of the request.
    pub since_unix_ms: UnixMs,
}

impl FollowRecord {
    /// Returns true if the output of this host is requested.
    pub fn wants(&self, host: &str) -> bool {
        self.host.as_deref().is_none_or(|wanted| wanted == host)
    }
}
