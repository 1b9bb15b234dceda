//! The world at one moment: every lock, host, job and run. Stepping through time is putting items.
//!
//! It knows nothing of time and decides nothing; [`Model`](super::Model) does.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_records::{DeedRecord, JobRecord, RunKey, RunRecord};

use super::lease_locks::Carried;
use super::lock::{Lock, Tenancy};
use super::scope::{Place, Scope};
use super::store_item::{Host, Item};
use super::wait_graph::Blame;

/// Everything there is, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) locks: BTreeMap<Arc<str>, Lock>,
    pub(crate) hosts: BTreeMap<String, Arc<Host>>,
    /// By job and host.
    pub(crate) jobs: BTreeMap<(String, String), Arc<JobRecord>>,
    pub(crate) runs: BTreeMap<RunKey, Arc<RunRecord>>,
    /// By key.
    pub(crate) deeds: BTreeMap<String, Arc<DeedRecord>>,
    /// Who blocks whom.
    pub(crate) blame: Blame,
    /// What goes with a lease.
    pub(crate) carried: Carried,
    /// Counts changes, so that what is derived from it can be kept.
    pub(crate) version: u64,
}

impl World {
    /// Puts what now stands under `key`, and gives back what stood there.
    pub(super) fn put(&mut self, scope: &Scope, key: &str, now: Option<Item>) -> Option<Item> {
        self.version += 1;
        match scope.place(key) {
            Place::Entry(lock) => {
                let entry = match now {
                    Some(Item::Entry(_, entry)) => Some(entry),
                    _ => None,
                };
                let was = self.put_entry(scope, &lock, key, entry);
                was.map(|entry| Item::Entry(lock, entry))
            }
            Place::Host(host) => {
                let now = match now {
                    Some(Item::Host(now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.hosts, host, now).map(Item::Host)
            }
            Place::Job(job, host) => {
                let now = match now {
                    Some(Item::Job(now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.jobs, (job, host), now).map(Item::Job)
            }
            Place::Run(at) => {
                let now = match now {
                    Some(Item::Run(_, now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.runs, at.clone(), now).map(|was| Item::Run(at, was))
            }
            Place::Deed => {
                let now = match now {
                    Some(Item::Deed(now)) => Some(now),
                    _ => None,
                };
                swap(&mut self.deeds, key.to_owned(), now).map(Item::Deed)
            }
            Place::Nothing => None,
        }
    }

    fn put_entry(
        &mut self,
        scope: &Scope,
        lock: &Arc<str>,
        key: &str,
        now: Option<Arc<super::Entry>>,
    ) -> Option<Arc<super::Entry>> {
        let found = self
            .locks
            .entry(lock.clone())
            .or_insert_with(|| Lock::new(scope, lock));
        let before = found.holder().cloned();
        let was = found.take(key);
        if let Some(was) = &was {
            self.carried.take(was.lease, &found.name);
        }
        if let Some(entry) = now {
            self.carried.put(entry.lease, &found.name);
            found.put(entry);
        }
        let (from, to) = (before.as_ref(), found.holder());
        self.blame.passes(
            &found.name,
            from.map(|entry| &entry.who),
            to.map(|entry| &entry.who),
        );
        was
    }

    /// Puts how a lock came to be as it is.
    pub(super) fn put_tenancy(&mut self, lock: &str, tenancy: Tenancy) {
        if let Some(lock) = self.locks.get_mut(lock) {
            lock.tenancy = tenancy;
        }
    }
}

impl Lock {
    fn new(scope: &Scope, name: &Arc<str>) -> Self {
        Self {
            name: name.clone(),
            label: scope.label(name).into(),
            queue: Vec::new(),
            tenancy: Tenancy {
                since: None,
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
