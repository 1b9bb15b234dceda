//! [`QueueView`]: who holds and who waits, for every lock under a prefix, as it changes.
//!
//! For people and dashboards. It shows every entry that follows etcd's convention, whoever wrote it,
//! and must never be used to decide who may act: that is what a [`Grant`](crate::Grant) is for.

use std::collections::BTreeMap;

use crate::error::StoreError;
use crate::hub::{Range, Subscription, WatchEvent, WatchItem, What};
use crate::kv::{KeyValue, Kv};
use crate::locks::Locks;

/// One entry of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The full key.
    pub key: String,
    /// Its place in the order: the revision at which it was created.
    pub create_revision: i64,
    /// The lease that carries it; 0 for an administrative hold, which only a person can end.
    pub lease: i64,
    /// What the client wrote about itself; empty for most foreign clients.
    pub value: Vec<u8>,
}

impl QueueEntry {
    /// Whether this entry has no lease: somebody put it there by hand, and it stays until deleted.
    pub const fn is_administrative(&self) -> bool {
        self.lease == 0
    }
}

/// What a view knows and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing has been read yet.
    Loading,
    /// Every change up to the revision is shown, and new ones will be.
    Live,
    /// The watch is interrupted: what is shown may be old.
    Stale {
        /// Why.
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
    Freshness,
}

/// The queues of all locks under a prefix, kept up to date by [`QueueView::next`].
pub struct QueueView {
    locks: Locks,
    prefix: String,
    watch: Option<Subscription>,
    /// The watch has opened and the reading that must follow has not been done.
    unread: bool,
    queues: BTreeMap<String, Vec<QueueEntry>>,
    revision: i64,
    freshness: Freshness,
}

impl Locks {
    /// Opens a view of every lock whose keys begin with `prefix`.
    ///
    /// A lock is named by everything before the last `/` of its entries' keys.
    pub fn view(&self, prefix: impl Into<String>) -> QueueView {
        QueueView {
            locks: self.clone(),
            prefix: prefix.into(),
            watch: None,
            unread: false,
            queues: BTreeMap::new(),
            revision: 0,
            freshness: Freshness::Loading,
        }
    }
}

impl QueueView {
    /// The queues by lock name, each in create-revision order: the first entry is the holder.
    pub const fn queues(&self) -> &BTreeMap<String, Vec<QueueEntry>> {
        &self.queues
    }

    /// The revision up to which everything is shown.
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// How fresh it is.
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Waits for the next change and takes it in. Safe to cancel. `None` when the client has closed.
    pub async fn next(&mut self) -> Option<ViewChange> {
        loop {
            let Some(watch) = &mut self.watch else {
                let range = Range {
                    key: self.prefix.clone(),
                    prefix: true,
                    puts: true,
                    after: None,
                };
                self.watch = Some(self.locks.watch(range).await?);
                continue;
            };
            if self.unread {
                let read = self.read().await;
                self.unread = false;
                return Some(match read {
                    Ok(()) => ViewChange::Reread,
                    Err(error) => {
                        self.watch = None;
                        self.stale(error.to_string())
                    }
                });
            }
            match watch.next().await {
                // We fell behind: start over with a new watch.
                None => {
                    self.watch = None;
                    if self.locks.0.is_closed() {
                        return None;
                    }
                    return Some(self.stale("the view fell behind".into()));
                }
                Some(WatchItem::Down { reason }) => {
                    self.unread = false;
                    return Some(self.stale(reason));
                }
                Some(WatchItem::Open { .. }) => self.unread = true,
                Some(WatchItem::Events { revision, events }) => {
                    let mut changed: Vec<String> =
                        events.into_iter().filter_map(|e| self.apply(e)).collect();
                    self.revision = self.revision.max(revision);
                    changed.sort();
                    changed.dedup();
                    if !changed.is_empty() {
                        return Some(ViewChange::Locks(changed));
                    }
                }
            }
        }
    }

    fn stale(&mut self, reason: String) -> ViewChange {
        self.freshness = Freshness::Stale { reason };
        ViewChange::Freshness
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let kv = Kv::new(self.locks.0.wire.clone());
        let (revision, entries) = kv.list_at(&self.prefix).await?;
        self.queues.clear();
        for entry in entries {
            self.insert(entry);
        }
        self.revision = revision;
        self.freshness = Freshness::Live;
        Ok(())
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

    /// Applies one event and names the lock it changed. Events the reading already showed are skipped.
    fn apply(&mut self, event: WatchEvent) -> Option<String> {
        if event.revision <= self.revision {
            return None;
        }
        let key = String::from_utf8(event.key).ok()?;
        let name = lock_of(&key)?.to_owned();
        match event.what {
            What::Put {
                create,
                lease,
                value,
            } => self.insert(KeyValue {
                key,
                value,
                create_revision: create,
                mod_revision: event.revision,
                lease,
            }),
            What::Delete => {
                let queue = self.queues.get_mut(&name)?;
                queue.retain(|entry| entry.key != key);
                if queue.is_empty() {
                    self.queues.remove(&name);
                }
            }
        }
        Some(name)
    }
}

/// The lock that a key is an entry of: everything before its last `/`.
fn lock_of(key: &str) -> Option<&str> {
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
