//! One lock's queue on this host: its claims, and the contention met there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_ids::{LockMode, Revision};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::claims::{ClaimSet, ClaimStatus, QueueReading};
use crate::queue_keys::QueueKey;
use crate::tenure::Tenure;

/// One lock, seen from this host.
#[derive(Debug)]
pub(crate) struct LocalQueue {
    pub(crate) prefix: String,
    pub(crate) ttl: Duration,
    shared: Mutex<QueueState>,
    /// Wakes the queue task.
    pub(crate) wake_up: Notify,
    /// Signals that a claim has been dropped.
    claim_drops: Notify,
}

/// Contention when we last joined the queue, which is expected the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contention {
    /// No other entry: ours need only be put if that is still so.
    Free,
    /// So few other entries that we follow all of them.
    Short,
    /// A long queue: read no more of it than will be used, and close the watch rather than linger.
    Long,
}

#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) claims: ClaimSet,
    pub(crate) closed: bool,
    pub(crate) contention: Contention,
    /// True if the watch is open, so the task need not be woken for every claim.
    pub(crate) is_watched: bool,
    pub(crate) last_use: Instant,
    /// When the last reading of the queue came back.
    pub(crate) last_read: Instant,
    /// When the last news of the queue arrived: a deletion, or a reading.
    pub(crate) last_news: Instant,
}

impl LocalQueue {
    /// The queue of the lock whose entries begin with `prefix`. Ownership there is confirmed once per `ttl`.
    pub(crate) fn new(prefix: String, ttl: Duration) -> Arc<Self> {
        Arc::new(Self {
            prefix,
            ttl,
            shared: Mutex::new(QueueState {
                claims: ClaimSet::new(),
                closed: false,
                contention: Contention::Free,
                is_watched: false,
                last_use: Instant::now(),
                last_read: Instant::now(),
                last_news: Instant::now(),
            }),
            wake_up: Notify::new(),
            claim_drops: Notify::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces an entry under `key`; `None` when this queue has closed and another must be opened.
    pub(crate) fn claim(self: &Arc<Self>, key: &str, mode: LockMode) -> Option<QueueClaim> {
        let mut shared = self.lock();
        if shared.closed {
            return None;
        }
        let (id, status) = shared.claims.announce(key, mode);
        drop(shared);
        Some(QueueClaim {
            queue: Arc::clone(self),
            id,
            status,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Resolves when the claim has been dropped.
    pub(crate) async fn claim_dropped(&self, claim: u64) {
        loop {
            let claim_drops = self.claim_drops.notified();
            tokio::pin!(claim_drops);
            claim_drops.as_mut().enable();
            if !self.lock().claims.contains(claim) {
                return;
            }
            claim_drops.await;
        }
    }

    /// Takes in a reading of a far claim's follower.
    pub(crate) fn read_far(
        &self,
        claim: u64,
        revision: Revision,
        exists: bool,
        ahead: &[QueueKey],
    ) {
        let mut shared = self.lock();
        shared.last_news = Instant::now();
        shared.claims.read_far(claim, revision, exists, ahead);
    }

    /// True if claims here rest on a reading older than `age`, and on events alone since.
    pub(crate) fn is_unread_for(&self, age: Duration) -> bool {
        let shared = self.lock();
        shared.is_watched && shared.claims.wants_watch() && shared.last_read.elapsed() >= age
    }

    /// Requests a reading from the task.
    pub(crate) fn verify(&self) {
        self.lock().claims.verify();
        self.wake_up.notify_one();
    }

    /// Begins a reading that covers other queues too, unless one is under way.
    pub(crate) fn reading_began(&self) -> Option<QueueReading> {
        self.lock().claims.reading_began()
    }

    /// Takes in the result of such a reading; `None` when it failed.
    pub(crate) fn reading_done(
        &self,
        reading: QueueReading,
        found: Option<(Revision, &[QueueKey])>,
    ) {
        let mut shared = self.lock();
        match found {
            // Entries younger than the reading cannot be in it.
            Some((revision, entries)) => {
                shared
                    .claims
                    .reading_done(reading, revision, revision, entries);
                shared.last_read = Instant::now();
                shared.last_news = shared.last_read;
            }
            None => shared.claims.reading_failed(reading),
        }
        drop(shared);
        self.wake_up.notify_one();
    }

    /// Closes the queue if it has no claim.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut shared = self.lock();
        if shared.claims.is_empty() {
            shared.closed = true;
        }
        shared.closed
    }
}

impl QueueState {
    /// True if the task must be woken. It is not woken for changes that require nothing of it.
    fn must_wake_task(&mut self) -> bool {
        self.last_use = Instant::now();
        if self.is_watched {
            self.contention == Contention::Long || self.claims.wants_reading()
        } else {
            self.claims.wants_watch()
        }
    }

    /// Notes that the watch has closed. The reading under way has no receiver any more.
    pub(crate) fn watch_closed(&mut self) {
        self.is_watched = false;
        self.claims.down();
        self.claims.reading_given_up();
    }
}

/// One claim on the lock of a queue. Dropping it removes the claim, not the entry in the store.
#[derive(Debug)]
pub(crate) struct QueueClaim {
    queue: Arc<LocalQueue>,
    id: u64,
    status: watch::Receiver<ClaimStatus>,
}

impl QueueClaim {
    fn change(&self, change: impl FnOnce(&mut QueueState)) {
        let mut shared = self.queue.lock();
        change(&mut shared);
        let wake = shared.must_wake_task();
        drop(shared);
        if wake {
            self.queue.wake_up.notify_one();
        }
    }

    pub(crate) const fn queue(&self) -> &Arc<LocalQueue> {
        &self.queue
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn expected_contention(&self) -> Contention {
        self.queue.lock().contention
    }

    /// Sets the contention of an enqueue after which our entry does not wait.
    pub(crate) fn set_contention(&self, contention: Contention) {
        self.queue.lock().contention = contention;
    }

    /// The entry exists at `create_revision`, and a reading at `as_of` showed `entries`.
    pub(crate) fn settle(&self, create_revision: Revision, entries: &[QueueKey], as_of: Revision) {
        self.change(|shared| {
            shared
                .claims
                .settle(self.id, create_revision, entries, as_of);
            shared.contention = Contention::Short;
        });
    }

    /// The entry exists at `create_revision` in a long queue, right behind `entry`, and will have a follower.
    pub(crate) fn settle_far(&self, create_revision: Revision, entry: &QueueKey, as_of: Revision) {
        self.change(|shared| {
            shared
                .claims
                .settle_far(self.id, create_revision, entry, as_of);
            shared.contention = Contention::Long;
        });
    }

    pub(crate) fn hold(&self, create_revision: Revision, as_of: Revision, tenure: Tenure) {
        self.change(|shared| shared.claims.hold(self.id, create_revision, as_of, tenure));
    }

    /// The time since the last news of the queue.
    pub(crate) fn news_age(&self) -> Duration {
        self.queue.lock().last_news.elapsed()
    }

    pub(crate) const fn status(&mut self) -> &mut watch::Receiver<ClaimStatus> {
        &mut self.status
    }
}

impl Drop for QueueClaim {
    fn drop(&mut self) {
        self.change(|shared| shared.claims.drop_claim(self.id));
        self.queue.claim_drops.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a reading without a receiver counts as under way: the claim would miss all changes before the next
    /// watch opened.
    #[test]
    fn reading_abandoned_with_its_watch_is_wanted_by_the_next() {
        let queue = LocalQueue::new("/l/".into(), Duration::from_secs(10));
        let claim = queue
            .claim("/l/me", LockMode::Exclusive)
            .expect("an open queue");
        let entry = |key: &str, create_revision| QueueKey {
            key: key.into(),
            create_revision: Revision::new(create_revision),
            mode: LockMode::Exclusive,
        };
        let entries = [entry("/l/a", 3), entry("/l/me", 10)];
        claim.settle(Revision::new(10), &entries, Revision::new(10));
        let mut shared = queue.lock();
        shared.claims.opened(Revision::new(20));
        shared.claims.reading_began();
        shared.watch_closed();
        assert!(!shared.claims.wants_reading(), "there is nothing to follow");
        shared.claims.opened(Revision::new(30));
        assert!(shared.claims.wants_reading());
        drop(shared);
    }
}
