//! The local queues of one client, by the prefix of their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::local_queue::{LocalQueue, QueueClaim};
use crate::lock_entry::LockEntry;

/// The local queues that are open.
#[derive(Debug, Default)]
pub(crate) struct QueueRegistry {
    by_prefix: Mutex<HashMap<String, Arc<LocalQueue>>>,
}

impl QueueRegistry {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<LocalQueue>>> {
        self.by_prefix
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces an entry in the queue of its lock. A queue that is not open yet is opened and handed to `start`.
    pub(crate) fn claim(
        &self,
        entry: &LockEntry,
        ttl: Duration,
        start: impl Fn(Arc<LocalQueue>),
    ) -> QueueClaim {
        let (prefix, key, mode) = (entry.prefix(), entry.key(), entry.mode());
        let mut queues = self.lock();
        let open = queues.get(prefix);
        if let Some(claim) = open.and_then(|queue| queue.claim(key, mode)) {
            return claim;
        }
        loop {
            let queue = LocalQueue::new(prefix.to_owned(), ttl);
            queues.insert(prefix.to_owned(), queue.clone());
            start(queue.clone());
            if let Some(claim) = queue.claim(key, mode) {
                return claim;
            }
        }
    }

    /// The shortest TTL that the locks of open queues are taken with.
    pub(crate) fn shortest_ttl(&self) -> Option<Duration> {
        self.lock().values().map(|queue| queue.ttl).min()
    }

    /// The queues that no reading has confirmed for half of their TTL.
    pub(crate) fn unread(&self) -> Vec<Arc<LocalQueue>> {
        let queues = self.lock();
        let unread = queues
            .values()
            .filter(|queue| queue.is_unread_for(queue.ttl / 2));
        unread.cloned().collect()
    }

    /// Forgets the queue of `prefix` if it has closed.
    pub(crate) fn forget_closed(&self, prefix: &str) {
        let mut queues = self.lock();
        if queues.get(prefix).is_some_and(|queue| queue.is_closed()) {
            queues.remove(prefix);
        }
    }
}
