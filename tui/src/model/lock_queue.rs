//! The queue of a lock, and the role of each entry in it.
//!
//! `leasehold_lock::queue_role` decides which entries hold.

use std::slice::Iter;
use std::sync::Arc;

use leasehold_lock::QueueRole;
use leasehold_lock::queue_role::{holders, waiters, with_roles};

use super::queue_entry::QueueEntry;

/// The entries of a lock, by create revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct LockQueue {
    entries: Vec<Arc<QueueEntry>>,
}

impl LockQueue {
    /// The entries that hold the lock.
    pub(crate) fn holders(&self) -> &[Arc<QueueEntry>] {
        holders(&self.entries)
    }

    /// The entries that wait, the next holder first.
    pub(crate) fn waiters(&self) -> &[Arc<QueueEntry>] {
        waiters(&self.entries)
    }

    /// Every entry with its role, holders first.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (QueueRole, &Arc<QueueEntry>)> {
        with_roles(&self.entries)
    }

    /// The entry of this key, with its role.
    pub(crate) fn find(&self, key: &str) -> Option<(QueueRole, &Arc<QueueEntry>)> {
        self.roles().find(|(_, entry)| &*entry.key == key)
    }

    /// The entry before `entry` that its own job left behind in an earlier session, if there is one.
    pub(crate) fn predecessor(&self, entry: &QueueEntry) -> Option<&Arc<QueueEntry>> {
        let before = self.entries.iter().rev();
        before
            .filter(|other| other.create_revision < entry.create_revision)
            .find(|other| other.is_of_another_session(entry))
    }

    pub(crate) fn iter(&self) -> Iter<'_, Arc<QueueEntry>> {
        self.entries.iter()
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts an entry in its place; an entry of the same key is removed.
    pub(super) fn insert(&mut self, entry: Arc<QueueEntry>) {
        self.remove(&entry.key);
        let at = self
            .entries
            .partition_point(|other| other.create_revision < entry.create_revision);
        self.entries.insert(at, entry);
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<QueueEntry>> {
        let at = self.entries.iter().position(|entry| &*entry.key == key)?;
        Some(self.entries.remove(at))
    }
}

impl<'a> IntoIterator for &'a LockQueue {
    type Item = &'a Arc<QueueEntry>;
    type IntoIter = Iter<'a, Arc<QueueEntry>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
