//! One key's history: what happened to it, oldest first.
//!
//! It must never be empty: a key without history is not in the index.

use std::sync::Arc;

use crate::change::KeyChange;

/// The changes of one key by revision and place, oldest first.
#[derive(Debug, Default)]
pub(super) struct KeyVersions(Vec<Arc<KeyChange>>);

impl KeyVersions {
    /// Adds what happened last.
    pub(super) fn push(&mut self, change: Arc<KeyChange>) {
        if self.0.is_empty() {
            // Most keys are written once; a vector would make room for four.
            self.0.reserve_exact(1);
        }
        self.0.push(change);
    }

    /// What happened last, up to and including a revision.
    pub(super) fn last_at(&self, revision: i64) -> Option<&Arc<KeyChange>> {
        match self.0.last() {
            Some(last) if last.revision <= revision => Some(last),
            _ => self.0[..self.until(revision)].last(),
        }
    }

    /// The key's value at a revision, if it is there then.
    pub(super) fn live_at(&self, revision: i64) -> Option<&Arc<KeyChange>> {
        self.last_at(revision).filter(|change| change.is_put())
    }

    /// How many changes nothing needs once the history before `compacted` is given up: all but the last up to
    /// there, and that one too when it deleted the key earlier. A delete exactly at the compaction stays,
    /// for a watch may still begin there (etcd before 3.4.34 and 3.5.16 lost it).
    pub(super) fn superfluous(&self, compacted: i64) -> &[Arc<KeyChange>] {
        let until = self.until(compacted);
        let Some(last) = self.0[..until].last() else {
            return &[];
        };
        let keeps_last = last.is_put() || last.revision == compacted;
        &self.0[..until - usize::from(keeps_last)]
    }

    /// Drops what [`KeyVersions::superfluous`] names. True when nothing is left.
    pub(super) fn trim(&mut self, compacted: i64) -> bool {
        let count = self.superfluous(compacted).len();
        self.0.drain(..count);
        if self.0.capacity() > 8 && self.0.len() * 4 < self.0.capacity() {
            self.0.shrink_to_fit();
        }
        self.0.is_empty()
    }

    /// Every change kept, oldest first.
    pub(super) fn all(&self) -> &[Arc<KeyChange>] {
        &self.0
    }

    /// What the key was before one of its changes, as far as the history goes back.
    pub(super) fn before(&self, change: &KeyChange) -> Option<&Arc<KeyChange>> {
        let place = (change.revision, change.sub);
        let until = self.0.partition_point(|c| (c.revision, c.sub) < place);
        self.0[..until].last()
    }

    fn until(&self, revision: i64) -> usize {
        self.0.partition_point(|change| change.revision <= revision)
    }
}
