//! Origin of a run that an operator requested.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Origin of a run that an operator requested, in the run's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualRun {
    /// Id of the request.
    pub trigger: String,
    /// The operator, as user@machine; not verified.
    pub by: String,
    /// The operator's reason; empty if none was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Values that replaced those of the job's `config` table, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}
