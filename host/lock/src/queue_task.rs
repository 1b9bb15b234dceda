//! One lock as this host takes part in it: its claims, and the watch that feeds them.
//!
//! The watch stays open while somebody waits near the head or holds, and for a while after: a watch
//! opened for each acquisition could be born behind the store's present and cost 100 ms at the worst
//! moment. Callers and the guard's task share the claims under a mutex that is never held over an
//! await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::claims::{ClaimSet, ClaimStatus, QueueReading};
use crate::clock::{BootTime, Clock};
use crate::error::StoreError;
use crate::requests::{QueueKey, StoreRequests};
use crate::tenure::{EndReason, Tenure};
use crate::watch_mux::{WatchEventKind, WatchItem, WatchMux, WatchRange, WatchSubscription};

/// How long a watch outlives its last user.
const WATCH_LINGER: Duration = Duration::from_secs(30);
/// Least pause before a failed reading is tried again, and between readings that stand in for a watch.
/// Up to as much again is added at random, so that a thousand locks do not ask in step.
const READ_RETRY: Duration = Duration::from_millis(250);

/// How long a watch may take to open before readings stand in for it.
const OPEN_PATIENCE: Duration = Duration::from_secs(1);

fn retry_time() -> Instant {
    Instant::now() + READ_RETRY.mul_f64(1.0 + fastrand::f64())
}

/// One lock, seen from this host.
#[derive(Debug)]
pub(crate) struct LocalQueue {
    pub(crate) prefix: String,
    pub(crate) ttl: Duration,
    shared: Mutex<QueueState>,
    /// Rung when the task has something to do.
    wake_up: Notify,
    /// Rung when a far claim has been dropped.
    claim_drops: Notify,
}

/// Who else was in the queue when we last joined it, which is who to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contention {
    /// No other entry: ours need only be put if that is still so.
    Free,
    /// So few that we follow all of them.
    Short,
    /// A long queue: read no more of it than will be used, and close the watch rather than linger.
    Long,
}

#[derive(Debug)]
struct QueueState {
    claims: ClaimSet,
    closed: bool,
    contention: Contention,
    /// The watch is open, so the task need not be woken for every claim.
    is_watched: bool,
    last_use: Instant,
    /// When a reading of the queue last came back.
    last_read: Instant,
}

impl LocalQueue {
    /// The room of the lock whose entries begin with `prefix`. Ownership there is confirmed once per `ttl`.
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
            }),
            wake_up: Notify::new(),
            claim_drops: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces an entry under `key`; `None` when this room has closed and another must be opened.
    pub(crate) fn claim(self: &Arc<Self>, key: &str) -> Option<QueueClaim> {
        let mut shared = self.lock();
        if shared.closed {
            return None;
        }
        let (id, status) = shared.claims.announce(key);
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

    /// Resolves when the claim is no longer there.
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

    /// What the follower of a far claim has read.
    pub(crate) fn read_far(&self, claim: u64, revision: i64, exists: bool, ahead: &[QueueKey]) {
        self.lock().claims.read_far(claim, revision, exists, ahead);
    }

    /// True if claims here rest on a reading that is older than `age` and on nothing but events since.
    pub(crate) fn is_unread_for(&self, age: Duration) -> bool {
        let shared = self.lock();
        shared.is_watched && shared.claims.wants_watch() && shared.last_read.elapsed() >= age
    }

    /// Asks the task for a reading.
    pub(crate) fn verify(&self) {
        self.lock().claims.verify();
        self.wake_up.notify_one();
    }

    /// Begins a reading that is made together with those of other rooms, unless one is under way.
    pub(crate) fn reading_began(&self) -> Option<QueueReading> {
        self.lock().claims.reading_began()
    }

    /// Takes in what such a reading has found; `None` when it found nothing out.
    pub(crate) fn reading_done(&self, reading: QueueReading, found: Option<(i64, &[QueueKey])>) {
        let mut shared = self.lock();
        match found {
            // Entries younger than the reading cannot be in it.
            Some((revision, entries)) => {
                shared
                    .claims
                    .reading_done(reading, revision, revision, entries);
                shared.last_read = Instant::now();
            }
            None => shared.claims.reading_failed(reading),
        }
        drop(shared);
        self.wake_up.notify_one();
    }

    /// Closes the room if nobody has a claim in it.
    fn close_if_empty(&self) -> bool {
        let mut shared = self.lock();
        if shared.claims.is_empty() {
            shared.closed = true;
        }
        shared.closed
    }
}

impl QueueState {
    /// Whether the task must be woken: it sleeps through everything that needs nothing from it.
    fn must_wake_task(&mut self) -> bool {
        self.last_use = Instant::now();
        if self.is_watched {
            self.contention == Contention::Long || self.claims.wants_reading()
        } else {
            self.claims.wants_watch()
        }
    }

    /// Nobody listens any more, and no answer comes to what was being read.
    fn watch_closed(&mut self) {
        self.is_watched = false;
        self.claims.down();
        self.claims.reading_given_up();
    }
}

/// One claim on the lock of a room. Dropping it forgets the claim, not the entry in the store.
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

    /// Who was in the queue, where our entry does not settle behind them.
    pub(crate) fn set_contention(&self, contention: Contention) {
        self.queue.lock().contention = contention;
    }

    /// The entry exists at `create_revision`, and a reading at `as_of` showed `entries`.
    pub(crate) fn settle(&self, create_revision: i64, entries: &[QueueKey], as_of: i64) {
        self.change(|shared| {
            shared
                .claims
                .settle(self.id, create_revision, entries, as_of);
            shared.contention = Contention::Short;
        });
    }

    /// The entry exists at `create_revision` in a long queue, right behind `entry`, and will have a follower.
    pub(crate) fn settle_far(&self, create_revision: i64, entry: &QueueKey, as_of: i64) {
        self.change(|shared| {
            shared
                .claims
                .settle_far(self.id, create_revision, entry, as_of);
            shared.contention = Contention::Long;
        });
    }

    pub(crate) fn hold(&self, create_revision: i64, as_of: i64, tenure: Tenure) {
        self.change(|shared| shared.claims.hold(self.id, create_revision, as_of, tenure));
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

/// The task behind a room. Runs on the guard until the room has been empty for a while.
pub(crate) struct QueueTask {
    pub(crate) queue: Arc<LocalQueue>,
    pub(crate) mux: Arc<WatchMux>,
    pub(crate) requests: StoreRequests,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a reading of the queue says: as of which revision, up to which entry, and the entries.
type ReadResult = (QueueReading, Result<(i64, i64, Vec<QueueKey>), StoreError>);

/// One stretch of time during which the watch of a room is open.
struct WatchSession<'a> {
    task: &'a QueueTask,
    watch: WatchSubscription,
    /// Whether the watch delivers.
    is_open: bool,
    /// The highest revision seen when the watch was asked for. One that opens below it may be of a store that
    /// went back.
    seen: i64,
    /// Since when readings fail, and nothing confirms ownership.
    failing_since: Option<BootTime>,
    reading: Option<BoxFuture<'a, ReadResult>>,
    read_at: Option<Instant>,
    wanted_until: Instant,
}

impl WatchSession<'_> {
    /// Decides what to do next. False when the watch is no longer wanted.
    fn decide_next(&mut self) -> bool {
        let mut shared = self.task.queue.lock();
        let now = Instant::now();
        self.wanted_until = if shared.claims.wants_watch() {
            now + WATCH_LINGER
        } else {
            shared.last_use + WATCH_LINGER
        };
        if shared.contention == Contention::Long && !shared.claims.wants_watch()
            || now >= self.wanted_until
        {
            return false;
        }
        shared.is_watched = true;
        let due = self.read_at.is_some_and(|at| at <= now);
        // A failed reading is tried again when it is due, not at once.
        let wanted = due || self.read_at.is_none() && shared.claims.wants_reading();
        if self.reading.is_none()
            && wanted
            && let Some(reading) = shared.claims.reading_began()
        {
            self.read_at = None;
            let youngest = shared.claims.youngest();
            self.reading = Some(Box::pin(self.task.read(reading, youngest)));
        }
        true
    }

    async fn next_wake(&mut self) -> WakeCause {
        let reading = self.reading.as_mut();
        let read = async {
            match reading {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        let timer = self.read_at.unwrap_or(self.wanted_until);
        tokio::select! {
            biased;
            item = self.watch.next() => WakeCause::Item(item),
            result = read => WakeCause::ReadResult(result),
            () = self.task.queue.wake_up.notified() => WakeCause::WakeUp,
            () = sleep_until(timer) => WakeCause::Timer,
        }
    }

    /// Takes in what happened. False when the watch must be opened anew.
    fn handle(&mut self, wake: WakeCause) -> bool {
        let mut shared = self.task.queue.lock();
        match wake {
            WakeCause::Item(Some(WatchItem::Open { revision })) => {
                self.is_open = true;
                self.read_at = None;
                shared.claims.opened(revision);
                if revision < self.seen {
                    shared.claims.verify();
                }
            }
            WakeCause::Item(Some(WatchItem::Events { events, .. })) => {
                let gone = events.into_iter().filter_map(|event| match event.kind {
                    WatchEventKind::Delete => {
                        Some((String::from_utf8(event.key).ok()?, event.revision))
                    }
                    WatchEventKind::Put { .. } => None,
                });
                shared.claims.deleted(gone);
            }
            WakeCause::Item(Some(WatchItem::Down { reason })) => {
                tracing::debug!(lock = %self.task.queue.prefix, %reason, "lock watch down");
                self.is_open = false;
                self.seen = self.task.requests.identity().seen();
                self.read_at = Some(retry_time());
                shared.claims.down();
            }
            // We fell behind. A new watch and a reading put it right.
            WakeCause::Item(None) => return false,
            WakeCause::ReadResult(result) => {
                self.reading = None;
                self.read(&mut shared, result);
            }
            WakeCause::WakeUp | WakeCause::Timer => {}
        }
        true
    }

    fn read(&mut self, shared: &mut QueueState, (reading, result): ReadResult) {
        let again = retry_time();
        match result {
            Ok((revision, youngest, entries)) => {
                shared
                    .claims
                    .reading_done(reading, revision, youngest, &entries);
                shared.last_read = Instant::now();
                self.failing_since = None;
                // Without a watch, readings are all we have.
                self.read_at = (!self.is_open).then_some(again);
            }
            Err(error) => {
                tracing::debug!(lock = %self.task.queue.prefix, %error, "cannot read the queue");
                shared.claims.reading_failed(reading);
                self.read_at = Some(again);
                let now = self.task.clock.now();
                let unknown_for = now.since(*self.failing_since.get_or_insert(now));
                if unknown_for > self.task.queue.ttl {
                    for tenure in shared.claims.tenures() {
                        tenure.end(EndReason::Unverified);
                    }
                }
            }
        }
    }
}

/// What ends a wait.
enum WakeCause {
    Item(Option<WatchItem>),
    ReadResult(ReadResult),
    WakeUp,
    Timer,
}

impl QueueTask {
    /// Runs until the room is empty and has lingered.
    pub(crate) async fn run(self) {
        loop {
            let (want, last_use) = {
                let shared = self.queue.lock();
                (shared.claims.wants_watch(), shared.last_use)
            };
            if want {
                if !self.watch_queue().await {
                    return;
                }
                continue;
            }
            let idle_at = last_use.max(Instant::now() - WATCH_LINGER) + WATCH_LINGER;
            tokio::select! {
                () = self.queue.wake_up.notified() => {}
                () = sleep_until(idle_at) => {
                    if last_use + WATCH_LINGER <= Instant::now() && self.queue.close_if_empty() {
                        return;
                    }
                }
            }
        }
    }

    async fn read(&self, reading: QueueReading, youngest: i64) -> ReadResult {
        let found = self.requests.queue(&self.queue.prefix, youngest).await;
        let found = found.map(|(revision, entries)| (revision, youngest, entries));
        (reading, found)
    }

    /// Keeps the watch open while it is wanted and for a while after. False when the hub has closed.
    async fn watch_queue(&self) -> bool {
        let range = WatchRange {
            key: self.queue.prefix.clone(),
            prefix: true,
            puts: false,
        };
        let Some(watch) = self.mux.subscribe(range).await else {
            return false;
        };
        let mut session = WatchSession {
            task: self,
            watch,
            is_open: false,
            seen: self.requests.identity().seen(),
            failing_since: None,
            reading: None,
            // Readings stand in for a watch that does not open.
            read_at: Some(Instant::now() + OPEN_PATIENCE),
            wanted_until: Instant::now() + WATCH_LINGER,
        };
        while session.decide_next() {
            let wake = session.next_wake().await;
            if !session.handle(wake) {
                break;
            }
        }
        drop(session);
        self.queue.lock().watch_closed();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a reading that nobody waits for any more counts as under way: the claim would hear nothing
    /// of what happened before the next watch opened.
    #[test]
    fn a_reading_given_up_with_its_watch_is_wanted_by_the_next() {
        let queue = LocalQueue::new("/l/".into(), Duration::from_secs(10));
        let claim = queue.claim("/l/me").expect("an open room");
        let entry = |key: &str, create_revision| QueueKey {
            key: key.into(),
            create_revision,
        };
        claim.settle(10, &[entry("/l/a", 3), entry("/l/me", 10)], 10);
        let mut shared = queue.lock();
        shared.claims.opened(20);
        shared.claims.reading_began();
        shared.watch_closed();
        assert!(!shared.claims.wants_reading(), "there is nothing to follow");
        shared.claims.opened(30);
        assert!(shared.claims.wants_reading());
        drop(shared);
    }
}
