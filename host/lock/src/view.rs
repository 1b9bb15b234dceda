//! [`QueueView`]: the holders and waiters of every lock under a prefix, as they change.
//!
//! For dashboards and other displays. It shows every entry that follows etcd's convention, of any client. It never
//! decides about the right to act, which only a [`Grant`](crate::Grant) proves.

use std::collections::BTreeMap;

use leasehold_ids::{LeaseId, LockMode, Revision};

use crate::feed::{FeedItem, KeyChange, KeyFeed};
use crate::kv::KeyValue;
use crate::locks::Locks;
use crate::queue_role::{QueueRole, QueuedEntry, holders, waiters, with_roles};

/// One entry of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The full key.
    pub key: String,
    /// Its place in the order: the revision at which it was created.
    pub create_revision: Revision,
    /// The lease that carries it; [`LeaseId::NONE`] for an administrative hold, which only an operator ends.
    pub lease: LeaseId,
    /// The value that the client wrote; empty for most foreign clients.
    pub value: Vec<u8>,
}

impl QueueEntry {
    /// True if this entry has no lease: an operator put it there by hand, and it stays until deleted.
    pub const fn is_administrative(&self) -> bool {
        self.lease.is_none()
    }
}

impl QueuedEntry for QueueEntry {
    fn mode(&self) -> LockMode {
        LockMode::of_key(&self.key, self.lease)
    }
}

/// Freshness of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewFreshness {
    /// Nothing has been read yet.
    Loading,
    /// Every change up to the revision is shown, and new ones will be.
    Live,
    /// The watch is interrupted: the view may be out of date.
    Stale {
        /// The reason.
        reason: String,
    },
}

/// One change of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// Everything was read anew.
    Reread,
    /// These locks changed.
    Locks(Vec<String>),
    /// The freshness changed.
    ViewFreshness,
}

/// The queues of all locks under a prefix, kept up to date by [`QueueView::next`].
pub struct QueueView {
    feed: KeyFeed,
    queues: BTreeMap<String, Vec<QueueEntry>>,
    revision: Revision,
    freshness: ViewFreshness,
}

impl Locks {
    /// Opens a view of every lock whose keys begin with `prefix`.
    ///
    /// A lock is named by everything before the last `/` of its entries' keys.
    pub fn view(&self, prefix: impl Into<String>) -> QueueView {
        QueueView {
            feed: self.feed([prefix]),
            queues: BTreeMap::new(),
            revision: Revision::NONE,
            freshness: ViewFreshness::Loading,
        }
    }
}

impl QueueView {
    /// The queues by lock name, each in create-revision order. [`queue_role`](crate::queue_role) derives holders and
    /// waiters from the order and the modes.
    pub const fn queues(&self) -> &BTreeMap<String, Vec<QueueEntry>> {
        &self.queues
    }

    /// The holders of a lock; empty for a lock without entries.
    pub fn holders(&self, lock: &str) -> &[QueueEntry] {
        holders(self.queue(lock))
    }

    /// The waiters of a lock, the next holder first.
    pub fn waiters(&self, lock: &str) -> &[QueueEntry] {
        waiters(self.queue(lock))
    }

    /// The entries of a lock in create-revision order, each with its role.
    pub fn roles(&self, lock: &str) -> impl Iterator<Item = (QueueRole, &QueueEntry)> {
        with_roles(self.queue(lock))
    }

    fn queue(&self, lock: &str) -> &[QueueEntry] {
        self.queues.get(lock).map_or(&[], Vec::as_slice)
    }

    /// The revision up to which everything is shown.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The freshness of the view.
    pub const fn freshness(&self) -> &ViewFreshness {
        &self.freshness
    }

    /// Waits for the next change and takes it in. Safe to cancel. `None` when the client has closed.
    pub async fn next(&mut self) -> Option<ViewChange> {
        loop {
            match self.feed.next().await? {
                FeedItem::Reading { revision, keys } => {
                    self.queues.clear();
                    for entry in keys {
                        self.insert(entry);
                    }
                    self.revision = revision;
                    self.freshness = ViewFreshness::Live;
                    return Some(ViewChange::Reread);
                }
                FeedItem::Changes { revision, changes } => {
                    let mut changed: Vec<String> =
                        changes.into_iter().filter_map(|c| self.apply(c)).collect();
                    self.revision = self.revision.max(revision);
                    changed.sort();
                    changed.dedup();
                    if !changed.is_empty() {
                        return Some(ViewChange::Locks(changed));
                    }
                }
                // There is one prefix, and a feed without any is down.
                FeedItem::Denied { .. } => {}
                FeedItem::Down { reason } => {
                    self.freshness = ViewFreshness::Stale { reason };
                    return Some(ViewChange::ViewFreshness);
                }
            }
        }
    }

    fn insert(&mut self, kv: KeyValue) {
        let Some(name) = lock_of(&kv.key) else {
            return;
        };
        let queue = self.queues.entry(name.to_owned()).or_default();
        queue.retain(|entry| entry.key != kv.key);
        let at = queue.partition_point(|entry| entry.create_revision < kv.create_revision);
        queue.insert(
            at,
            QueueEntry {
                key: kv.key,
                create_revision: kv.create_revision,
                lease: kv.lease,
                value: kv.value,
            },
        );
    }

    /// Takes in one change and names the lock it is of.
    fn apply(&mut self, change: KeyChange) -> Option<String> {
        let name = lock_of(&change.key)?.to_owned();
        if let Some(entry) = change.now {
            self.insert(entry);
        } else {
            let queue = self.queues.get_mut(&name)?;
            queue.retain(|entry| entry.key != change.key);
            if queue.is_empty() {
                self.queues.remove(&name);
            }
        }
        Some(name)
    }
}

/// The full name of the lock that a key is an entry of: everything before its last `/`.
pub fn lock_of(key: &str) -> Option<&str> {
    let (name, entry) = key.rsplit_once('/')?;
    (!name.is_empty() && !entry.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_key_is_everything_before_its_last_slash() {
        assert_eq!(lock_of("/l/a/b/694d"), Some("/l/a/b"));
        assert_eq!(lock_of("/l/a/"), None);
        assert_eq!(lock_of("bare"), None);
    }
}
