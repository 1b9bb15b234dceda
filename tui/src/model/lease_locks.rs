//! Locks by lease: the locks in whose queues the lease has entries.
//!
//! The state updates it with each entry, so that the entries of a lease are found without a search through every
//! queue.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_lock::LeaseId;

/// Locks by the leases that have entries in their queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseLocks {
    /// Full names, each list sorted; a lock is in it once for each entry.
    locks: HashMap<LeaseId, Vec<Arc<str>>>,
}

impl LeaseLocks {
    pub(super) fn insert(&mut self, lease: LeaseId, lock: &Arc<str>) {
        let locks = self.locks.entry(lease).or_default();
        let at = locks.partition_point(|other| other < lock);
        locks.insert(at, lock.clone());
    }

    pub(super) fn remove(&mut self, lease: LeaseId, lock: &Arc<str>) {
        let Some(locks) = self.locks.get_mut(&lease) else {
            return;
        };
        if let Ok(at) = locks.binary_search(lock) {
            locks.remove(at);
        }
        if locks.is_empty() {
            self.locks.remove(&lease);
        }
    }

    /// Full names of the locks in whose queues `lease` has entries, sorted; once for each entry.
    pub(crate) fn locks_of(&self, lease: LeaseId) -> &[Arc<str>] {
        self.locks.get(&lease).map_or(&[], Vec::as_slice)
    }
}
