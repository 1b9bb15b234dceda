//! The calls on a disk, and the values that they take and return.
//!
//! This file must never depend on the layout of a file, nor decide what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::DiskError;
use crate::change::{KeyChange, RevisionChanges};

/// Changes that one commit makes durable: all of them, or none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct CommitBatch {
    /// Revisions, ascending and without gaps, following the last one committed.
    pub(crate) revisions: Vec<Arc<RevisionChanges>>,
    /// Leases granted: id and TTL in seconds.
    pub(crate) granted: Vec<(i64, i64)>,
    /// Leases that ended. A lease may be granted and ended in one batch; then it does not exist.
    pub(crate) ended: Vec<i64>,
    /// The revision before which the history is compacted.
    pub(crate) compacted: Option<i64>,
    /// Changes that are superfluous after that, as (revision, sub). A crash may leave some of them on the disk; a
    /// [`DiskImage`] never contains them.
    pub(crate) dropped: Vec<(i64, u32)>,
}

impl CommitBatch {
    /// Returns true if the batch has nothing to make durable.
    pub(crate) fn is_empty(&self) -> bool {
        self.revisions.is_empty()
            && self.granted.is_empty()
            && self.ended.is_empty()
            && self.compacted.is_none()
    }
}

/// Content of a disk when it was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct DiskImage {
    /// The cluster's and the member's id, the same as long as the data lives; never 0.
    pub(crate) cluster: u64,
    /// The member's id.
    pub(crate) member: u64,
    /// The number of openings of this data, this one included: the raft term that clients see.
    pub(crate) term: u64,
    /// The last revision committed; 1 in a new store. It may be higher than any change still kept.
    pub(crate) revision: i64,
    /// The last compaction; 0 if none.
    pub(crate) compacted: i64,
    /// All changes kept, by revision and position.
    ///
    /// Of each key's changes at or below the compaction only the last one is kept, because reads at the compaction
    /// or later need no other. When it is a delete below the compaction nothing is kept: the key is as if it had
    /// never been. A delete exactly at the compaction is kept: a watch may begin there.
    pub(crate) changes: Vec<Arc<KeyChange>>,
    /// Leases that had not ended: id and TTL in seconds.
    pub(crate) leases: BTreeMap<i64, i64>,
}

impl DiskImage {
    /// Returns the content of a new store: its ids, and nothing else.
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

/// A disk that batches are committed to.
pub(crate) trait Disk: Send {
    /// Makes a batch durable. After an error it is unknown if the batch is on the disk. Every later commit fails
    /// too, until the disk is opened again.
    fn commit(&mut self, batch: &CommitBatch) -> Result<(), DiskError>;

    /// Returns unused space to the file system. After an error nothing more can be written, as after an error of a
    /// commit.
    fn defragment(&mut self) -> Result<(), DiskError>;

    /// Returns the bytes that the data takes on the disk, and the used bytes among them.
    fn size(&self) -> (u64, u64);
}
