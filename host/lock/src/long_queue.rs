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

use crate::queue_task::Room;
use crate::requests::{Line, Wire};
use crate::watch_mux::{Hub, Range, Subscription, WatchEvent, WatchItem, What};

/// Pause before a failed reading is tried again. Our session bounds how long that goes on.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// A reading is made this long after the last one though nothing was heard. Up to as much again is added at
/// random, so that the waiters of a long queue do not ask in step.
const READ_ANYWAY: Duration = Duration::from_secs(3);
/// A holder's own key is watched when it has held for this long: most that hold for less are spared the watch,
/// and it is short beside the time that a store takes to tell of a removal.
const HELD_FOR: Duration = Duration::from_millis(5);

/// Stands for entries ahead that have not been read yet.
pub(crate) fn unread() -> Line {
    Line {
        key: String::new(),
        create: 0,
    }
}

/// Follows one far entry until it is gone or its claim is. Runs on the guard.
pub(crate) struct Follower {
    pub(crate) room: Arc<Room>,
    pub(crate) claim: u64,
    pub(crate) hub: Arc<Hub>,
    pub(crate) wire: Wire,
    pub(crate) key: String,
    pub(crate) create: i64,
}

/// One entry that is watched.
struct Eye {
    entry: Line,
    watch: Subscription,
}

impl Follower {
    /// Follows the entry, first of all behind `predecessor`.
    pub(crate) async fn run(self, predecessor: Line) {
        tokio::select! {
            biased;
            () = self.room.forgotten(self.claim) => {}
            _ = self.follow(predecessor) => {}
        }
    }

    /// Ends when our entry has gone; `None` when the hub has closed.
    async fn follow(&self, predecessor: Line) -> Option<()> {
        let mut eye = self.open(predecessor).await?;
        loop {
            self.watch(&mut eye).await;
            let (revision, stands, ahead) = self.read().await;
            self.room.read_far(self.claim, revision, stands, &ahead);
            if !stands {
                return Some(());
            }
            let next = ahead.into_iter().next_back();
            let holding = next.is_none();
            let next = next.unwrap_or_else(|| Line {
                key: self.key.clone(),
                create: self.create,
            });
            if next != eye.entry || eye.watch.is_over() {
                if holding {
                    sleep(HELD_FOR).await;
                }
                eye = self.open(next).await?;
            }
        }
    }

    async fn open(&self, entry: Line) -> Option<Eye> {
        let range = Range {
            key: entry.key.clone(),
            prefix: false,
            puts: false,
        };
        let watch = self.hub.subscribe(range).await?;
        Some(Eye { entry, watch })
    }

    /// Returns when the entry has gone, or may have, or it is time to read anyway.
    async fn watch(&self, eye: &mut Eye) {
        let anyway = sleep(READ_ANYWAY.mul_f64(1.0 + fastrand::f64()));
        tokio::pin!(anyway);
        loop {
            tokio::select! {
                biased;
                item = eye.watch.next() => match item {
                    Some(WatchItem::Open { .. }) => {
                        let Line { key, create } = &eye.entry;
                        if !self.wire.stands(key, *create).await.unwrap_or(false) {
                            return;
                        }
                    }
                    Some(WatchItem::Events { events, .. }) => {
                        let gone = |event: &WatchEvent| {
                            matches!(event.what, What::Delete) && event.revision > eye.entry.create
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
    async fn read(&self) -> (i64, bool, Vec<Line>) {
        loop {
            match self
                .wire
                .ahead(&self.room.prefix, &self.key, self.create)
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
