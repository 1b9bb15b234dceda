//! Waiting far from the head of a long queue, without following every change.
//!
//! Each hand-off costs the store one message per follower of a lock. In a queue of two hundred, two
//! hundred followers turn every hand-off into two hundred messages. So an entry that joins a long
//! queue watches one key only: its predecessor's while it waits, its own while it holds. A hand-off then
//! costs a constant number of messages however long the queue is.
//!
//! That an entry was taken out of the middle of the queue is found when its predecessor goes, or at the next
//! of the readings that are made every few seconds. It was not going to act before either.
//!
//! After the predecessor chain of Go's `concurrency.Mutex`, with two differences: being first is proved by
//! reading both ends of the gap at one revision, and the watch has no start revision, because the store
//! serves one that has late (see `watch_mux`). What happened before it opened is found by a reading.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::local_queue::LocalQueue;
use crate::queue_keys::QueueKey;
use crate::requests::StoreRequests;
use crate::watch_mux::WatchMux;
use crate::watch_mux::subscription::{
    WatchEvent, WatchEventKind, WatchItem, WatchRange, WatchSubscription,
};

/// Pause before a failed reading is tried again. Our session bounds how long that goes on.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// A reading is made this long after the last one though nothing was heard. Up to as much again is added at
/// random, so that the waiters of a long queue do not ask in step.
const READ_ANYWAY: Duration = Duration::from_secs(3);
/// A holder's own key is watched when it has held for this long: most that hold for less are spared the watch,
/// and it is short beside the time that a store takes to tell of a removal.
const HELD_FOR: Duration = Duration::from_millis(5);

/// Stands for entries ahead that have not been read yet.
pub(crate) fn unread() -> QueueKey {
    QueueKey {
        key: String::new(),
        create_revision: 0,
    }
}

/// Follows one far entry until it is gone or its claim is. Runs on the guard.
pub(crate) struct QueueFollower {
    pub(crate) queue: Arc<LocalQueue>,
    pub(crate) claim: u64,
    pub(crate) mux: Arc<WatchMux>,
    pub(crate) requests: StoreRequests,
    pub(crate) key: String,
    pub(crate) create_revision: i64,
}

/// One entry that is watched.
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

    /// Ends when our entry has gone; `None` when the hub has closed.
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

    /// Returns when the entry has gone, or may have, or it is time to read anyway.
    async fn watch(&self, key_watch: &mut KeyWatch) {
        let anyway = sleep(READ_ANYWAY.mul_f64(1.0 + fastrand::f64()));
        tokio::pin!(anyway);
        loop {
            tokio::select! {
                biased;
                item = key_watch.watch.next() => match item {
                    Some(WatchItem::Open { .. }) => {
                        let QueueKey { key, create_revision } = &key_watch.entry;
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
                    // The hub opens it anew.
                    Some(WatchItem::Down { .. }) => {}
                    None => return,
                },
                () = &mut anyway => return,
            }
        }
    }

    /// Reads, at one revision, whether our entry stands and who is ahead.
    async fn read(&self) -> (i64, bool, Vec<QueueKey>) {
        loop {
            match self
                .requests
                .ahead(&self.queue.prefix, &self.key, self.create_revision)
                .await
            {
                Ok(read) => return read,
                Err(error) => {
                    tracing::debug!(key = %self.key, %error, "cannot read who is ahead");
                    sleep(READ_AGAIN).await;
                }
            }
        }
    }
}
