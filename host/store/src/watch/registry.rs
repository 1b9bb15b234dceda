//! Subscribers to ranges of keys, and their wake-ups when a key changes.
//!
//! No events are handed out. A watcher is woken with two revisions, and reads the history between them at its own
//! pace. So a slow watcher only delays itself. This file must never hold events, nor block the publisher.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::change::RevisionChanges;
use crate::key_range::KeyRange;

use super::RangeIndex;

/// All subscribers.
#[derive(Debug, Default)]
pub(crate) struct WatchRegistry {
    subscribers: Mutex<Subscribers>,
    /// The last revision whose subscribers were all woken; 0 before the first.
    announced: watch::Sender<i64>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Subscribers {
    by_range: RangeIndex<Arc<WakeSignal>>,
    /// Numbers are never used again.
    next: u64,
}

/// Wakes one subscriber. It wakes once, however often it is raised.
#[derive(Debug, Default)]
struct WakeSignal {
    touched_since: Mutex<Option<TouchedRevisions>>,
    notify: Notify,
}

/// The first and the last published revision that touched a subscriber's ranges since the last call. Those between
/// may or may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TouchedRevisions {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl WatchRegistry {
    /// Adds a subscriber without ranges.
    pub(crate) fn subscribe(self: &Arc<Self>) -> WatchSubscription {
        let mut subscribers = lock(&self.subscribers);
        subscribers.next += 1;
        WatchSubscription {
            registry: Arc::clone(self),
            number: subscribers.next,
            signal: Arc::default(),
            ranges: Mutex::default(),
        }
    }

    /// Wakes the subscribers of these revisions, which are durable now. Called with revisions in order, once each,
    /// and only when readers can see them. Takes time in proportion to the number of subscribers woken, whatever
    /// they do.
    pub(crate) fn publish(&self, revisions: &[Arc<RevisionChanges>]) {
        let Some(last) = revisions.last() else {
            return;
        };
        let subscribers = lock(&self.subscribers);
        if !subscribers.by_range.is_empty() {
            for revision in revisions {
                for change in &revision.changes {
                    subscribers
                        .by_range
                        .find(&change.key, |signal| signal.raise(revision.number));
                }
            }
        }
        // Still under the lock: a reader of this number knows that all subscribers up to it were woken.
        self.announced.send_replace(last.number);
    }

    /// Sets the revision of an opened store as announced, once: no subscriber could exist before.
    pub(crate) fn begin(&self, revision: i64) {
        let _subscribers = lock(&self.subscribers);
        self.announced.send_if_modified(|announced| {
            let unset = *announced == 0;
            if unset {
                *announced = revision;
            }
            unset
        });
    }

    /// Returns the last announced revision, and each one after it.
    pub(crate) fn announced(&self) -> watch::Receiver<i64> {
        self.announced.subscribe()
    }

    /// Returns the number of ranges, each counted once a subscriber.
    pub(crate) fn ranges(&self) -> usize {
        lock(&self.subscribers).by_range.len()
    }

    /// Ends the waits of all subscribers: no revision will follow.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Returns when no revision will follow. [`WatchSubscription::changed`] then never returns, so its callers wait
    /// for this as well.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

/// A subscriber. Dropping it ends the subscription.
#[derive(Debug)]
pub(crate) struct WatchSubscription {
    registry: Arc<WatchRegistry>,
    number: u64,
    signal: Arc<WakeSignal>,
    /// Each range with how often it was added.
    ranges: Mutex<HashMap<KeyRange, usize>>,
}

impl WatchSubscription {
    /// Subscribes to a range: to every revision that is published after this returned. A range added twice must be
    /// removed twice.
    pub(crate) fn add(&self, range: KeyRange) {
        let mut ranges = lock(&self.ranges);
        match ranges.entry(range) {
            Entry::Occupied(mut entry) => *entry.get_mut() += 1,
            Entry::Vacant(entry) => {
                lock(&self.registry.subscribers).by_range.insert(
                    entry.key(),
                    self.number,
                    Arc::clone(&self.signal),
                );
                entry.insert(1);
            }
        }
    }

    /// Ends the subscription to this range. Does nothing for a range that was not added.
    pub(crate) fn remove(&self, range: &KeyRange) {
        let mut ranges = lock(&self.ranges);
        let Some(count) = ranges.get_mut(range) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            ranges.remove(range);
            lock(&self.registry.subscribers)
                .by_range
                .remove(range, self.number);
        }
    }

    /// Returns when a published revision touched one of its ranges since the last call: the highest such revision.
    /// It may be one that was published just before the range was added. Cancel-safe. For one waiter at a time.
    pub(crate) async fn changed(&self) -> i64 {
        self.touched().await.last
    }

    /// Returns the same as [`WatchSubscription::changed`], with the lowest such revision as well.
    pub(crate) async fn touched(&self) -> TouchedRevisions {
        loop {
            // A signal between the check and the wait leaves its permit, so that the wait returns at once.
            if let Some(touched) = self.take_touched() {
                return touched;
            }
            self.signal.notify.notified().await;
        }
    }

    /// Returns the revisions that touched its ranges since the last call, without waiting.
    pub(crate) fn take_touched(&self) -> Option<TouchedRevisions> {
        lock(&self.signal.touched_since).take()
    }
}

impl Drop for WatchSubscription {
    fn drop(&mut self) {
        let ranges = self
            .ranges
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let mut subscribers = lock(&self.registry.subscribers);
        for range in ranges.keys() {
            subscribers.by_range.remove(range, self.number);
        }
    }
}

impl WakeSignal {
    fn raise(&self, revision: i64) {
        let mut touched_since = lock(&self.touched_since);
        if let Some(touched) = touched_since.as_mut() {
            touched.last = touched.last.max(revision);
        } else {
            *touched_since = Some(TouchedRevisions {
                first: revision,
                last: revision,
            });
            self.notify.notify_one();
        }
    }
}

/// A panic elsewhere leaves no partial change in here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
