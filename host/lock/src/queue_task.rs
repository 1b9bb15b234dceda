//! The task that watches one lock's queue for the claims of this host.
//!
//! The watch stays open while a claim waits near the head or holds, and for a while after: a watch opened for each
//! acquisition could be born behind the store's present and cost 100 ms at the worst moment. Callers and the task
//! share the claims under a mutex that is never held over an await.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use leasehold_ids::Revision;
use tokio::time::{Instant, sleep_until};

use crate::claims::QueueReading;
use crate::clock::{BootTime, Clock};
use crate::end_reason::EndReason;
use crate::error::StoreError;
use crate::local_queue::{Contention, LocalQueue, QueueState};
use crate::queue_keys::QueueKey;
use crate::requests::StoreRequests;
use crate::watch_mux::WatchMux;
use crate::watch_mux::subscription::{WatchEventKind, WatchItem, WatchRange, WatchSubscription};

/// Time that a watch stays open after its last use.
const WATCH_LINGER: Duration = Duration::from_secs(30);

/// Least pause before a failed reading is repeated, and between readings that replace a watch. Up to as much again is
/// added at random, so that a thousand locks do not read in step.
const READ_RETRY: Duration = Duration::from_millis(250);

/// Time for a watch to open before readings replace it.
const OPEN_PATIENCE: Duration = Duration::from_secs(1);

fn retry_time() -> Instant {
    Instant::now() + READ_RETRY.mul_f64(1.0 + fastrand::f64())
}

/// The task of a local queue. Runs on the lease thread until the queue has been empty for a while.
pub(crate) struct QueueTask {
    pub(crate) queue: Arc<LocalQueue>,
    pub(crate) mux: Arc<WatchMux>,
    pub(crate) requests: StoreRequests,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Result of a reading of the queue: its revision, the youngest create revision that it covers, and the entries.
type ReadResult = (
    QueueReading,
    Result<(Revision, Revision, Vec<QueueKey>), StoreError>,
);

/// A period during which the watch of a queue is open.
struct WatchSession<'a> {
    task: &'a QueueTask,
    watch: WatchSubscription,
    /// True if the watch delivers.
    is_open: bool,
    /// The highest revision seen when the watch was requested. A watch that opens below it may be of a store that
    /// went back.
    seen: Revision,
    /// The start of the failures of readings, during which nothing confirms ownership.
    failing_since: Option<BootTime>,
    reading: Option<BoxFuture<'a, ReadResult>>,
    read_at: Option<Instant>,
    wanted_until: Instant,
}

impl WatchSession<'_> {
    /// Starts a reading where one is wanted. False when the watch is no longer wanted.
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
        // A failed reading is repeated when it is due, not at once.
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

    /// Takes in a cause of a wake-up. False when the watch must be opened anew.
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
            // This subscriber fell behind. A new watch and a reading make up for it.
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
                // Without a watch, readings are the only source.
                self.read_at = (!self.is_open).then_some(again);
            }
            Err(error) => {
                tracing::debug!(lock = %self.task.queue.prefix, %error, "cannot read the queue");
                self.task
                    .requests
                    .observer()
                    .notify(|observer| observer.request_retried(&error));
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

/// Cause of a wake-up.
enum WakeCause {
    Item(Option<WatchItem>),
    ReadResult(ReadResult),
    WakeUp,
    Timer,
}

impl QueueTask {
    /// Runs until the queue is empty and has lingered.
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

    async fn read(&self, reading: QueueReading, youngest: Revision) -> ReadResult {
        let found = self.requests.queue(&self.queue.prefix, youngest).await;
        let found = found.map(|(revision, entries)| (revision, youngest, entries));
        (reading, found)
    }

    /// Keeps the watch open while it is wanted and for a while after. False when the multiplexer has closed.
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
            // Readings replace a watch that does not open.
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
