//! [`Fence`]: the proof that a fenced write carries.

use etcd_client::{Compare, CompareOp};
use leasehold_ids::Revision;

use crate::error::StoreError;
use crate::lock_entry::LockEntry;

/// The condition that a write carries: every entry of a grant exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// At least one.
    keys: Vec<String>,
    create_revision: Revision,
}

impl Fence {
    pub(crate) fn new(entries: &[LockEntry], create_revision: Revision) -> Self {
        let keys = entries.iter().map(|entry| entry.key().to_owned());
        Self {
            keys: keys.collect(),
            create_revision,
        }
    }

    /// The keys of the entries.
    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The create revision that the entries share.
    pub(crate) const fn create_revision(&self) -> Revision {
        self.create_revision
    }

    /// One comparison for each entry.
    pub(crate) fn compares(&self) -> impl Iterator<Item = Compare> {
        let created = self.create_revision.get();
        self.keys
            .iter()
            .map(move |key| Compare::create_revision(key.as_str(), CompareOp::Equal, created))
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
