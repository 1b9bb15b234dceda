//! [`Fence`]: the proof that a fenced write carries.

use etcd_client::{Compare, CompareOp};
use leasehold_ids::Revision;

use crate::error::StoreError;

/// The condition that a write carries: the entry with this key and create revision exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub(crate) key: String,
    pub(crate) create_revision: Revision,
}

impl Fence {
    pub(crate) const fn new(key: String, create_revision: Revision) -> Self {
        Self {
            key,
            create_revision,
        }
    }

    pub(crate) fn compare(&self) -> Compare {
        let created = self.create_revision.get();
        Compare::create_revision(self.key.as_str(), CompareOp::Equal, created)
    }
}

/// Error of a fenced operation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FencedError {
    /// The token is stale: its entry no longer exists. Nothing was changed.
    #[error("the fencing token is stale: the lock entry no longer exists")]
    Stale,
    /// The key was not at the expected revision. Nothing was changed.
    #[error("the key was not at the expected revision")]
    Conflict,
    /// The store refused or did not answer; see [`StoreError::is_unknown`].
    #[error(transparent)]
    Store(#[from] StoreError),
}
