//! One key's history: its changes, oldest first.
//!
//! It must never be empty: a key without history is not in the index.

use std::sync::Arc;

use crate::change::KeyChange;

/// The changes of one key by revision and position, oldest first.
#[derive(Debug, Default)]
pub(super) struct KeyVersions(Vec<Arc<KeyChange>>);

impl KeyVersions {
    /// Adds the newest change.
    pub(super) fn push(&mut self, change: Arc<KeyChange>) {
        if self.0.is_empty() {
            // Most keys are written once; a vector would make room for four.
            self.0.reserve_exact(1);
        }
        self.0.push(change);
    }

    /// Returns the last change up to and including a revision.
    pub(super) fn last_at(&self, revision: i64) -> Option<&Arc<KeyChange>> {
        match self.0.last() {
            Some(last) if last.revision <= revision => Some(last),
            _ => self.0[..self.until(revision)].last(),
        }
    }

    /// Returns the key's value at a revision, if it exists then.
    pub(super) fn live_at(&self, revision: i64) -> Option<&Arc<KeyChange>> {
        self.last_at(revision).filter(|change| change.is_put())
    }

    /// Returns the changes that are superfluous once the history before `compacted` is compacted. These are all but
    /// the last one up to `compacted`, and that one too if it is an earlier delete. A delete exactly at the
    /// compaction stays, for a watch may still begin there (etcd before 3.4.34 and 3.5.16 lost it).
    pub(super) fn superfluous(&self, compacted: i64) -> &[Arc<KeyChange>] {
        let until = self.until(compacted);
        let Some(last) = self.0[..until].last() else {
            return &[];
        };
        let keeps_last = last.is_put() || last.revision == compacted;
        &self.0[..until - usize::from(keeps_last)]
    }

    /// Drops the changes that [`KeyVersions::superfluous`] returns. Returns true when none is left.
    pub(super) fn trim(&mut self, compacted: i64) -> bool {
        let count = self.superfluous(compacted).len();
        self.0.drain(..count);
        if self.0.capacity() > 8 && self.0.len() * 4 < self.0.capacity() {
            self.0.shrink_to_fit();
        }
        self.0.is_empty()
    }

    /// Returns all kept changes, oldest first.
    pub(super) fn all(&self) -> &[Arc<KeyChange>] {
        &self.0
    }

    /// Returns the key's state before one of its changes, as far as the history goes back.
    pub(super) fn before(&self, change: &KeyChange) -> Option<&Arc<KeyChange>> {
        let place = (change.revision, change.sub);
        let until = self.0.partition_point(|c| (c.revision, c.sub) < place);
        self.0[..until].last()
    }

    fn until(&self, revision: i64) -> usize {
        self.0.partition_point(|change| change.revision <= revision)
    }
}
