//! The local queues of one client, by the prefix of their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::local_queue::{LocalQueue, QueueClaim};

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

    /// Announces an entry in the queue of `prefix`. A queue that is not open yet is opened and handed to `start`.
    pub(crate) fn claim(
        &self,
        prefix: &str,
        key: &str,
        ttl: Duration,
        start: impl Fn(Arc<LocalQueue>),
    ) -> QueueClaim {
        let mut queues = self.lock();
        if let Some(claim) = queues.get(prefix).and_then(|queue| queue.claim(key)) {
            return claim;
        }
        loop {
            let queue = LocalQueue::new(prefix.to_owned(), ttl);
            queues.insert(prefix.to_owned(), queue.clone());
            start(queue.clone());
            if let Some(claim) = queue.claim(key) {
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
