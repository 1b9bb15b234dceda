//! [`Fence`]: the proof that a fenced write carries.

use etcd_client::{Compare, CompareOp};

use crate::error::StoreError;

/// The proof that a write carries: this entry, born at this revision, stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub(crate) key: String,
    pub(crate) create_revision: i64,
}

impl Fence {
    pub(crate) const fn new(key: String, create_revision: i64) -> Self {
        Self {
            key,
            create_revision,
        }
    }

    pub(crate) fn compare(&self) -> Compare {
        Compare::create_revision(self.key.as_str(), CompareOp::Equal, self.create_revision)
    }
}

/// Why a fenced operation did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FencedError {
    /// The token is stale: the entry it names no longer stands. Nothing was changed.
    #[error("the fencing token is stale: the lock entry no longer exists")]
    Stale,
    /// The key was not at the expected revision. Nothing was changed.
    #[error("the key was not at the expected revision")]
    Conflict,
    /// The store refused or did not answer; see [`StoreError::is_unknown`].
    #[error(transparent)]
    Store(#[from] StoreError),
}
