//! What each lease carries: the locks in whose queues it has entries.
//!
//! The world keeps it as entries come and go, so that what goes with a lease is found without looking through
//! every queue.

use std::collections::HashMap;
use std::sync::Arc;

/// Locks by the leases that have entries in their queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseLocks {
    /// Each list in order; a lock is in it once for each entry.
    locks: HashMap<i64, Vec<Arc<str>>>,
}

impl LeaseLocks {
    pub(super) fn insert(&mut self, lease: i64, lock: &Arc<str>) {
        let locks = self.locks.entry(lease).or_default();
        let at = locks.partition_point(|other| other < lock);
        locks.insert(at, lock.clone());
    }

    pub(super) fn remove(&mut self, lease: i64, lock: &Arc<str>) {
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

    /// The full names of the locks in whose queues `lease` has entries, in order; once for each entry.
    pub(crate) fn locks_of(&self, lease: i64) -> &[Arc<str>] {
        self.locks.get(&lease).map_or(&[], Vec::as_slice)
    }
}
