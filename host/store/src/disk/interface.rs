//! Where the store's state outlives the process: what is asked of a disk, and the kinds there are.
//!
//! This file must never know how a file is laid out, nor decide what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::DiskError;
use crate::change::{KeyChange, RevisionChanges};

/// What one commit makes durable: all of it, or nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct CommitBatch {
    /// Revisions, ascending and without gaps, following the last one committed.
    pub(crate) revisions: Vec<Arc<RevisionChanges>>,
    /// Leases granted: id and TTL in seconds.
    pub(crate) granted: Vec<(i64, i64)>,
    /// Leases that ended. A lease may be granted and ended in one batch; then it does not exist.
    pub(crate) ended: Vec<i64>,
    /// The history before this revision was given up.
    pub(crate) compacted: Option<i64>,
    /// Changes that nothing needs after that, as (revision, sub). A crash may leave some of them on the disk;
    /// an [`DiskImage`] never shows them.
    pub(crate) dropped: Vec<(i64, u32)>,
}

impl CommitBatch {
    /// Whether there is nothing to make durable.
    pub(crate) fn is_empty(&self) -> bool {
        self.revisions.is_empty()
            && self.granted.is_empty()
            && self.ended.is_empty()
            && self.compacted.is_none()
    }
}

/// What a disk held when it was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct DiskImage {
    /// The cluster's and the member's id, the same as long as the data lives; never 0.
    pub(crate) cluster: u64,
    /// The member's id.
    pub(crate) member: u64,
    /// How many times this data was opened, this time included: the raft term that clients see.
    pub(crate) term: u64,
    /// The last revision committed; 1 in a new store. It may be higher than any change still kept.
    pub(crate) revision: i64,
    /// The last compaction; 0 when there was none.
    pub(crate) compacted: i64,
    /// Every change kept, by revision and place.
    ///
    /// Of each key's changes at or below the compaction only the last one is kept, because that is all a read
    /// at the compaction or later can meet. When it is a delete below the compaction nothing is kept: the key
    /// is as if it had never been. A delete exactly at the compaction is kept: a watch may begin there.
    pub(crate) changes: Vec<Arc<KeyChange>>,
    /// Leases that had not ended: id and TTL in seconds.
    pub(crate) leases: BTreeMap<i64, i64>,
}

impl DiskImage {
    /// What a store that was just made holds: its ids, and nothing else.
    pub(crate) fn fresh() -> Self {
        Self {
            cluster: fastrand::u64(1..),
            member: fastrand::u64(1..),
            term: 1,
            revision: 1,
            ..Self::default()
        }
    }
}

/// A durable place for batches.
pub(crate) trait Disk: Send {
    /// Makes a batch durable. After an error nobody knows whether it is on the disk, and every later commit
    /// fails too, until the disk is opened anew.
    fn commit(&mut self, batch: &CommitBatch) -> Result<(), DiskError>;

    /// Gives back what the data does not need. After an error nothing more can be written, as after one of a commit.
    fn defragment(&mut self) -> Result<(), DiskError>;

    /// How many bytes the data takes on the disk, and how many of them hold something.
    fn size(&self) -> (u64, u64);
}
