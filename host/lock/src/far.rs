//! Waiting far from the head of a long queue, without following every change.
//!
//! Each hand-off costs the store one message per follower of a lock. In a queue of two hundred, two
//! hundred followers turn every hand-off into two hundred messages. So an entry that joins a long
//! queue watches two keys only, its own and its predecessor's, and a hand-off costs a constant number
//! of messages however long the queue is.
//!
//! These watches do carry a start revision: the store serves them late at first (see `hub`), which
//! does not matter this far from the head, and nothing has to be read before they can be trusted.
//!
//! After the predecessor chain of Go's `concurrency.Mutex`, with two differences: our own entry is
//! watched as well, and being first is proved by reading both at one revision.

use std::sync::Arc;
use std::time::Duration;

use crate::hub::{Hub, Range, Subscription, WatchItem, What};
use crate::room::Room;
use crate::wire::{Line, Wire};

/// Pause before a failed reading is tried again. Our session bounds how long that goes on.
const READ_AGAIN: Duration = Duration::from_millis(200);

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

/// What ended one look at the two keys.
enum Look {
    /// The predecessor is gone, or we could not hear for a while: read.
    Read,
    /// Our entry is gone; the claim has been told.
    Over,
}

impl Follower {
    /// Follows the entry, first of all behind `predecessor`, as a reading at `as_of` showed it.
    pub(crate) async fn run(self, predecessor: Line, as_of: i64) {
        tokio::select! {
            biased;
            () = self.room.forgotten(self.claim) => {}
            () = self.follow(predecessor, as_of) => {}
        }
    }

    async fn follow(&self, predecessor: Line, as_of: i64) {
        let mut behind = Some(predecessor);
        let mut as_of = as_of;
        let Some(mut own) = self.watch(&self.key, self.create).await else {
            return;
        };
        while let Look::Read = self.look(&mut own, behind.as_ref(), as_of).await {
            let (revision, stands, ahead) = self.read().await;
            self.room.read_far(self.claim, revision, stands, &ahead);
            if !stands {
                return;
            }
            behind = ahead.into_iter().next_back();
            as_of = revision;
            if own.is_over() {
                match self.watch(&self.key, revision).await {
                    Some(watch) => own = watch,
                    None => return,
                }
            }
        }
    }

    /// Watches `key` for deletions after `revision`.
    async fn watch(&self, key: &str, revision: i64) -> Option<Subscription> {
        let range = Range {
            key: key.to_owned(),
            prefix: false,
            puts: false,
            after: Some(revision),
        };
        self.hub.subscribe(range).await
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
                    tokio::time::sleep(READ_AGAIN).await;
                }
            }
        }
    }

    async fn look(&self, own: &mut Subscription, behind: Option<&Line>, as_of: i64) -> Look {
        let mut other = match behind {
            Some(line) => match self.watch(&line.key, as_of).await {
                Some(watch) => Some(watch),
                None => return Look::Over,
            },
            None => None,
        };
        loop {
            let theirs = async {
                match &mut other {
                    Some(watch) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                item = own.next() => match deleted_at(item) {
                    Heard::Deleted(revision) if revision > self.create => {
                        self.room.deleted(&self.key, revision);
                        return Look::Over;
                    }
                    Heard::Lost => return Look::Read,
                    Heard::Deleted(_) | Heard::Nothing => {}
                },
                item = theirs => match deleted_at(item) {
                    Heard::Deleted(_) | Heard::Lost => return Look::Read,
                    Heard::Nothing => {}
                },
            }
        }
    }
}

enum Heard {
    Nothing,
    Deleted(i64),
    /// The watch is interrupted.
    Lost,
}

fn deleted_at(item: Option<WatchItem>) -> Heard {
    match item {
        Some(WatchItem::Open { .. }) => Heard::Nothing,
        Some(WatchItem::Events { events, .. }) => events
            .iter()
            .find(|event| matches!(event.what, What::Delete))
            .map_or(Heard::Nothing, |event| Heard::Deleted(event.revision)),
        Some(WatchItem::Down { .. }) | None => Heard::Lost,
    }
}
