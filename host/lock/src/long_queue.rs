//! Waiting far from the head of a long queue, without following every change.
//!
//! Each hand-off costs the store one message per follower of a lock. In a queue of two hundred, two
//! hundred followers turn every hand-off into two hundred messages. So an entry that joins a long
//! queue watches one key only: its predecessor's while it waits, its own while it holds. A hand-off then
//! costs a constant number of messages however long the queue is.
//!
//! The deletion of an entry in the middle of the queue is found when its predecessor is deleted, or at the next of
//! the readings that are made every few seconds. Such an entry would not have acted before either.
//!
//! # Only exclusive entries wait here
//!
//! An exclusive entry holds when nothing is ahead, so it cannot hold before its predecessor is deleted: watching that
//! one alone misses no grant. No single key is such a sign for the other modes. A shared entry holds beside its
//! predecessor, if that is shared too. One with permits holds as soon as *enough* of the entries ahead are deleted,
//! whichever they are. Neither is the deletion of the predecessor a proof: it may leave other writers, or too many
//! permits, ahead. Those entries therefore read the whole queue when they join and follow every deletion in it,
//! however long it is. Their messages cost the store more in long queues; each grant costs no reading.
//!
//! A long queue may hold entries of all modes ahead of an exclusive one. They are all the same to it.
//!
//! # Origin
//!
//! After the predecessor chain of Go's `concurrency.Mutex`, with two differences. Being first is proved by reading
//! both ends of the gap at one revision. The watch has no start revision, because the store serves one that has late
//! (see `watch_mux`); events before it opened are found by a reading.

use std::sync::Arc;
use std::time::Duration;

use leasehold_ids::{LockMode, Revision};
use tokio::time::sleep;

use crate::local_queue::LocalQueue;
use crate::queue_keys::QueueKey;
use crate::requests::StoreRequests;
use crate::watch_mux::WatchMux;
use crate::watch_mux::subscription::{
    WatchEvent, WatchEventKind, WatchItem, WatchRange, WatchSubscription,
};

/// Pause before a failed reading is repeated. Our session limits the repetitions.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// Pause after a reading before the next one, where the watch delivers nothing. Up to as much again is added at
/// random, so that the waiters of a long queue do not read in step.
const READ_ANYWAY: Duration = Duration::from_secs(3);
/// Time that a holder has held before its own key is watched. Most that hold for less are spared the watch, and the
/// time is short beside the delay of a removal's event.
const HELD_FOR: Duration = Duration::from_millis(5);

/// A placeholder for entries ahead that have not been read yet.
pub(crate) fn unread() -> QueueKey {
    QueueKey {
        key: String::new(),
        create_revision: Revision::NONE,
        // It fits beside none, so nothing is decided before the queue was read.
        mode: LockMode::Exclusive,
    }
}

/// Follows one far entry until it is deleted or its claim is dropped. Runs on the lease thread.
pub(crate) struct QueueFollower {
    pub(crate) queue: Arc<LocalQueue>,
    pub(crate) claim: u64,
    pub(crate) mux: Arc<WatchMux>,
    pub(crate) requests: StoreRequests,
    pub(crate) key: String,
    pub(crate) create_revision: Revision,
}

/// The watch of one entry.
struct KeyWatch {
    entry: QueueKey,
    watch: WatchSubscription,
}

impl QueueFollower {
    /// Follows the entry, first of all behind `predecessor`.
    pub(crate) async fn run(self, predecessor: QueueKey) {
        tokio::select! {
            biased;
            () = self.queue.claim_dropped(self.claim) => {}
            _ = self.follow(predecessor) => {}
        }
    }

    /// Returns when our entry was deleted; `None` when the multiplexer has closed.
    async fn follow(&self, predecessor: QueueKey) -> Option<()> {
        let mut key_watch = self.open(predecessor).await?;
        loop {
            self.watch(&mut key_watch).await;
            let (revision, exists, ahead) = self.read().await;
            self.queue.read_far(self.claim, revision, exists, &ahead);
            if !exists {
                return Some(());
            }
            let next = ahead.into_iter().next_back();
            let holding = next.is_none();
            let next = next.unwrap_or_else(|| QueueKey {
                key: self.key.clone(),
                create_revision: self.create_revision,
                mode: LockMode::Exclusive,
            });
            if next != key_watch.entry || key_watch.watch.is_over() {
                if holding {
                    sleep(HELD_FOR).await;
                }
                key_watch = self.open(next).await?;
            }
        }
    }

    async fn open(&self, entry: QueueKey) -> Option<KeyWatch> {
        let range = WatchRange {
            key: entry.key.clone(),
            prefix: false,
            puts: false,
        };
        let watch = self.mux.subscribe(range).await?;
        Some(KeyWatch { entry, watch })
    }

    /// Returns when the entry was deleted or may have been, or when a reading is due anyway.
    async fn watch(&self, key_watch: &mut KeyWatch) {
        let anyway = sleep(READ_ANYWAY.mul_f64(1.0 + fastrand::f64()));
        tokio::pin!(anyway);
        loop {
            tokio::select! {
                biased;
                item = key_watch.watch.next() => match item {
                    Some(WatchItem::Open { .. }) => {
                        let QueueKey { key, create_revision, .. } = &key_watch.entry;
                        if !self.requests.entry_exists(key, *create_revision).await.unwrap_or(false) {
                            return;
                        }
                    }
                    Some(WatchItem::Events { events, .. }) => {
                        let gone = |event: &WatchEvent| {
                            matches!(event.kind, WatchEventKind::Delete) && event.revision > key_watch.entry.create_revision
                        };
                        if events.iter().any(gone) {
                            return;
                        }
                    }
                    // The multiplexer opens it anew.
                    Some(WatchItem::Down { .. }) => {}
                    None => return,
                },
                () = &mut anyway => return,
            }
        }
    }

    /// Reads, at one revision, whether our entry exists, and the entries ahead.
    async fn read(&self) -> (Revision, bool, Vec<QueueKey>) {
        loop {
            match self
                .requests
                .ahead(&self.queue.prefix, &self.key, self.create_revision)
                .await
            {
                Ok(read) => return read,
                Err(error) => {
                    tracing::debug!(key = %self.key, %error, "cannot read the entries ahead");
                    self.requests
                        .observer()
                        .notify(|observer| observer.request_retried(&error));
                    sleep(READ_AGAIN).await;
                }
            }
        }
    }
}
