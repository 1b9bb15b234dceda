//! State of the store at one moment: every lock, host, job and run. Stepping through time puts items.
//!
//! It has no notion of time and decides nothing; [`Model`](super::Model) does.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_records::{AdminActionRecord, ControlKey, HoldMark, JobRecord, RunKey, RunRecord};

use super::held_locks::HeldLocks;
use super::lease_locks::LeaseLocks;
use super::lock::{LockTenancy, ObservedLock};
use super::lock_queue::LockQueue;
use super::scope::{KeyKind, KeyScope};
use super::store_item::{LiveHost, StoreItem};

/// State of the store at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreState {
    pub(crate) locks: BTreeMap<Arc<str>, ObservedLock>,
    pub(crate) hosts: BTreeMap<String, Arc<LiveHost>>,
    /// Records by job and host.
    pub(crate) jobs: BTreeMap<(String, String), Arc<JobRecord>>,
    pub(crate) runs: BTreeMap<RunKey, Arc<RunRecord>>,
    /// Records by key.
    pub(crate) deeds: BTreeMap<String, Arc<AdminActionRecord>>,
    /// Pauses and drains, by the target of their keys.
    pub(crate) holds: BTreeMap<ControlKey, Arc<HoldMark>>,
    /// Locks by holder.
    pub(crate) held_locks: HeldLocks,
    /// Locks by lease.
    pub(crate) lease_locks: LeaseLocks,
    /// Number of changes, so that derived data can be kept.
    pub(crate) version: u64,
}

impl StoreState {
    /// Puts the new value of `key`, and returns the old one.
    pub(super) fn put(
        &mut self,
        scope: &KeyScope,
        key: &str,
        now: Option<StoreItem>,
    ) -> Option<StoreItem> {
        self.version += 1;
        match scope.classify(key) {
            KeyKind::Entry(lock) => {
                let entry = match now {
                    Some(StoreItem::Entry(_, entry)) => Some(entry),
                    _ => None,
                };
                let was = self.put_entry(scope, &lock, key, entry);
                was.map(|entry| StoreItem::Entry(lock, entry))
            }
            KeyKind::Host(host) => {
                let now = match now {
                    Some(StoreItem::Host(now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.hosts, host, now).map(StoreItem::Host)
            }
            KeyKind::Job(job, host) => {
                let now = match now {
                    Some(StoreItem::Job(now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.jobs, (job, host), now).map(StoreItem::Job)
            }
            KeyKind::Run(at) => {
                let now = match now {
                    Some(StoreItem::Run(_, now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.runs, at.clone(), now).map(|was| StoreItem::Run(at, was))
            }
            KeyKind::Deed => {
                let now = match now {
                    Some(StoreItem::Deed(now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.deeds, key.to_owned(), now).map(StoreItem::Deed)
            }
            KeyKind::Hold(at) => {
                let now = match now {
                    Some(StoreItem::Hold(_, now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.holds, at.clone(), now).map(|was| StoreItem::Hold(at, was))
            }
            KeyKind::Nothing => None,
        }
    }

    fn put_entry(
        &mut self,
        scope: &KeyScope,
        lock: &Arc<str>,
        key: &str,
        now: Option<Arc<super::QueueEntry>>,
    ) -> Option<Arc<super::QueueEntry>> {
        let found = self
            .locks
            .entry(lock.clone())
            .or_insert_with(|| ObservedLock::new(scope, lock));
        let before = found.holder().cloned();
        let was = found.queue.remove(key);
        if let Some(was) = &was {
            self.lease_locks.remove(was.lease, &found.name);
        }
        if let Some(entry) = now {
            self.lease_locks.insert(entry.lease, &found.name);
            found.queue.insert(entry);
        }
        let (from, to) = (before.as_ref(), found.holder());
        self.held_locks.set_holder(
            &found.name,
            from.map(|entry| &entry.who),
            to.map(|entry| &entry.who),
        );
        was
    }

    /// Sets the last change of a lock's holder.
    pub(super) fn put_tenancy(&mut self, lock: &str, tenancy: LockTenancy) {
        if let Some(lock) = self.locks.get_mut(lock) {
            lock.tenancy = tenancy;
        }
    }
}

impl ObservedLock {
    fn new(scope: &KeyScope, name: &Arc<str>) -> Self {
        Self {
            name: name.clone(),
            label: scope.label(name).into(),
            queue: LockQueue::default(),
            tenancy: LockTenancy {
                since_unix_ms: None,
                before: None,
            },
        }
    }
}

fn swap<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, now: Option<V>) -> Option<V> {
    match now {
        Some(now) => map.insert(key, now),
        None => map.remove(&key),
    }
}
