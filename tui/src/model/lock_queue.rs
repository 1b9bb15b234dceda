//! The queue of a lock, and the role of each entry in it.
//!
//! This file alone decides which entries hold: every other file uses [`LockQueue::holders`] and [`QueueRole`].

use std::slice::Iter;
use std::sync::Arc;

use super::queue_entry::QueueEntry;

/// The role of an entry in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueRole {
    Holder,
    /// A waiter, with its place: 1 is next.
    Waiter(usize),
}

impl QueueRole {
    pub(crate) const fn is_holder(self) -> bool {
        matches!(self, Self::Holder)
    }

    /// The place as a number: 0 for a holder.
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::Holder => 0,
            Self::Waiter(place) => place,
        }
    }
}

/// The entries of a lock, by create revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct LockQueue {
    entries: Vec<Arc<QueueEntry>>,
}

impl LockQueue {
    /// The entries that hold the lock: the first, if there is one.
    pub(crate) fn holders(&self) -> &[Arc<QueueEntry>] {
        self.entries.get(..1).unwrap_or_default()
    }

    /// The entries that wait, the next holder first.
    pub(crate) fn waiters(&self) -> &[Arc<QueueEntry>] {
        self.entries.get(self.holders().len()..).unwrap_or_default()
    }

    /// The role of the entry at `position`, counted from 0.
    fn role(&self, position: usize) -> QueueRole {
        match position.checked_sub(self.holders().len()) {
            None => QueueRole::Holder,
            Some(ahead) => QueueRole::Waiter(ahead + 1),
        }
    }

    /// Every entry with its role, holders first.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (QueueRole, &Arc<QueueEntry>)> {
        let entries = self.entries.iter().enumerate();
        entries.map(|(position, entry)| (self.role(position), entry))
    }

    /// The entry of this key, with its role.
    pub(crate) fn find(&self, key: &str) -> Option<(QueueRole, &Arc<QueueEntry>)> {
        self.roles().find(|(_, entry)| &*entry.key == key)
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
