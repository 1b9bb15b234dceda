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

use crate::claims::{Claims, Reading, Standing};
use crate::clock::{BootTime, Clock};
use crate::error::StoreError;
use crate::requests::{Line, Wire};
use crate::tenure::{EndReason, Tenure};
use crate::watch_mux::{Hub, Range, Subscription, WatchItem, What};

/// How long a watch outlives its last user.
const LINGER: Duration = Duration::from_secs(30);
/// Least pause before a failed reading is tried again, and between readings that stand in for a watch.
/// Up to as much again is added at random, so that a thousand locks do not ask in step.
const READ_AGAIN: Duration = Duration::from_millis(250);

/// How long a watch may take to open before readings stand in for it.
const OPENS_WITHIN: Duration = Duration::from_secs(1);

fn read_again() -> Instant {
    Instant::now() + READ_AGAIN.mul_f64(1.0 + fastrand::f64())
}

/// One lock, seen from this host.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) prefix: String,
    pub(crate) ttl: Duration,
    shared: Mutex<Shared>,
    /// Rung when the task has something to do.
    bell: Notify,
    /// Rung when a far claim has been dropped.
    parting: Notify,
}

/// Who else was in the queue when we last joined it, which is who to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// Nobody: it need only be put if that is still so.
    Nobody,
    /// So few that we follow all of them.
    Few,
    /// A long queue: read no more of it than will be used, and close the watch rather than linger.
    Many,
}

#[derive(Debug)]
struct Shared {
    claims: Claims,
    closed: bool,
    crowd: Crowd,
    /// The watch is open, so the task need not be woken for every claim.
    attended: bool,
    last_use: Instant,
    /// When a reading of the queue last came back.
    read_back: Instant,
}

impl Room {
    /// The room of the lock whose entries begin with `prefix`. Ownership there is confirmed once per `ttl`.
    pub(crate) fn new(prefix: String, ttl: Duration) -> Arc<Self> {
        Arc::new(Self {
            prefix,
            ttl,
            shared: Mutex::new(Shared {
                claims: Claims::new(),
                closed: false,
                crowd: Crowd::Nobody,
                attended: false,
                last_use: Instant::now(),
                read_back: Instant::now(),
            }),
            bell: Notify::new(),
            parting: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces an entry under `key`; `None` when this room has closed and another must be opened.
    pub(crate) fn claim(self: &Arc<Self>, key: &str) -> Option<RoomClaim> {
        let mut shared = self.lock();
        if shared.closed {
            return None;
        }
        let (id, standing) = shared.claims.announce(key);
        drop(shared);
        Some(RoomClaim {
            room: Arc::clone(self),
            id,
            standing,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Resolves when the claim is no longer there.
    pub(crate) async fn forgotten(&self, claim: u64) {
        loop {
            let parting = self.parting.notified();
            tokio::pin!(parting);
            parting.as_mut().enable();
            if !self.lock().claims.knows(claim) {
                return;
            }
            parting.await;
        }
    }

    /// What the follower of a far claim has read.
    pub(crate) fn read_far(&self, claim: u64, revision: i64, stands: bool, ahead: &[Line]) {
        self.lock().claims.read_far(claim, revision, stands, ahead);
    }

    /// True if claims here rest on a reading that is older than `age` and on nothing but events since.
    pub(crate) fn is_unread_for(&self, age: Duration) -> bool {
        let shared = self.lock();
        shared.attended && shared.claims.want_watch() && shared.read_back.elapsed() >= age
    }

    /// Asks the task for a reading.
    pub(crate) fn verify(&self) {
        self.lock().claims.verify();
        self.bell.notify_one();
    }

    /// Begins a reading that is made together with those of other rooms, unless one is under way.
    pub(crate) fn reading_began(&self) -> Option<Reading> {
        self.lock().claims.reading_began()
    }

    /// Takes in what such a reading has found; `None` when it found nothing out.
    pub(crate) fn reading_done(&self, reading: Reading, found: Option<(i64, &[Line])>) {
        let mut shared = self.lock();
        match found {
            // Entries younger than the reading cannot be in it.
            Some((revision, lines)) => {
                shared
                    .claims
                    .reading_done(reading, revision, revision, lines);
                shared.read_back = Instant::now();
            }
            None => shared.claims.reading_failed(reading),
        }
        drop(shared);
        self.bell.notify_one();
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

impl Shared {
    /// Whether the task must be woken: it sleeps through everything that needs nothing from it.
    fn needs_attention(&mut self) -> bool {
        self.last_use = Instant::now();
        if self.attended {
            self.crowd == Crowd::Many || self.claims.want_reading()
        } else {
            self.claims.want_watch()
        }
    }

    /// Nobody listens any more, and no answer comes to what was being read.
    fn unattended(&mut self) {
        self.attended = false;
        self.claims.down();
        self.claims.reading_given_up();
    }
}

/// One claim on the lock of a room. Dropping it forgets the claim, not the entry in the store.
#[derive(Debug)]
pub(crate) struct RoomClaim {
    room: Arc<Room>,
    id: u64,
    standing: watch::Receiver<Standing>,
}

impl RoomClaim {
    fn change(&self, change: impl FnOnce(&mut Shared)) {
        let mut shared = self.room.lock();
        change(&mut shared);
        let wake = shared.needs_attention();
        drop(shared);
        if wake {
            self.room.bell.notify_one();
        }
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn expects(&self) -> Crowd {
        self.room.lock().crowd
    }

    /// Who was in the queue, where our entry does not settle behind them.
    pub(crate) fn met(&self, crowd: Crowd) {
        self.room.lock().crowd = crowd;
    }

    /// The entry exists at `create`, and a reading at `as_of` showed `lines`.
    pub(crate) fn settle(&self, create: i64, lines: &[Line], as_of: i64) {
        self.change(|shared| {
            shared.claims.settle(self.id, create, lines, as_of);
            shared.crowd = Crowd::Few;
        });
    }

    /// The entry exists at `create` in a long queue, right behind `line`, and will have a follower.
    pub(crate) fn settle_far(&self, create: i64, line: &Line, as_of: i64) {
        self.change(|shared| {
            shared.claims.settle_far(self.id, create, line, as_of);
            shared.crowd = Crowd::Many;
        });
    }

    pub(crate) fn hold(&self, create: i64, as_of: i64, tenure: Tenure) {
        self.change(|shared| shared.claims.hold(self.id, create, as_of, tenure));
    }

    pub(crate) const fn standing(&mut self) -> &mut watch::Receiver<Standing> {
        &mut self.standing
    }
}

impl Drop for RoomClaim {
    fn drop(&mut self) {
        self.change(|shared| shared.claims.drop_claim(self.id));
        self.room.parting.notify_waiters();
    }
}

/// The task behind a room. Runs on the guard until the room has been empty for a while.
pub(crate) struct RoomTask {
    pub(crate) room: Arc<Room>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) wire: Wire,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a reading of the queue says: as of which revision, up to which entry, and the entries.
type Read = (Reading, Result<(i64, i64, Vec<Line>), StoreError>);

/// One stretch of time during which the watch of a room is open.
struct Visit<'a> {
    task: &'a RoomTask,
    watch: Subscription,
    /// Whether the watch delivers.
    live: bool,
    /// The highest revision seen when the watch was asked for. One that opens below it may be of a store that
    /// went back.
    seen: i64,
    /// Since when readings fail, and nothing confirms ownership.
    unknown_since: Option<BootTime>,
    reading: Option<BoxFuture<'a, Read>>,
    read_at: Option<Instant>,
    wanted_until: Instant,
}

impl Visit<'_> {
    /// Decides what to do next. False when the watch is no longer wanted.
    fn plan(&mut self) -> bool {
        let mut shared = self.task.room.lock();
        let now = Instant::now();
        self.wanted_until = if shared.claims.want_watch() {
            now + LINGER
        } else {
            shared.last_use + LINGER
        };
        if shared.crowd == Crowd::Many && !shared.claims.want_watch() || now >= self.wanted_until {
            return false;
        }
        shared.attended = true;
        let due = self.read_at.is_some_and(|at| at <= now);
        // A failed reading is tried again when it is due, not at once.
        let wanted = due || self.read_at.is_none() && shared.claims.want_reading();
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

    async fn wake(&mut self) -> Wake {
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
            item = self.watch.next() => Wake::Item(item),
            result = read => Wake::Read(result),
            () = self.task.room.bell.notified() => Wake::Bell,
            () = sleep_until(timer) => Wake::Timer,
        }
    }

    /// Takes in what happened. False when the watch must be opened anew.
    fn handle(&mut self, wake: Wake) -> bool {
        let mut shared = self.task.room.lock();
        match wake {
            Wake::Item(Some(WatchItem::Open { revision })) => {
                self.live = true;
                self.read_at = None;
                shared.claims.opened(revision);
                if revision < self.seen {
                    shared.claims.verify();
                }
            }
            Wake::Item(Some(WatchItem::Events { events, .. })) => {
                let gone = events.into_iter().filter_map(|event| match event.what {
                    What::Delete => Some((String::from_utf8(event.key).ok()?, event.revision)),
                    What::Put { .. } => None,
                });
                shared.claims.deleted(gone);
            }
            Wake::Item(Some(WatchItem::Down { reason })) => {
                tracing::debug!(lock = %self.task.room.prefix, %reason, "lock watch down");
                self.live = false;
                self.seen = self.task.wire.identity().seen();
                self.read_at = Some(read_again());
                shared.claims.down();
            }
            // We fell behind. A new watch and a reading put it right.
            Wake::Item(None) => return false,
            Wake::Read(result) => {
                self.reading = None;
                self.read(&mut shared, result);
            }
            Wake::Bell | Wake::Timer => {}
        }
        true
    }

    fn read(&mut self, shared: &mut Shared, (reading, result): Read) {
        let again = read_again();
        match result {
            Ok((revision, youngest, lines)) => {
                shared
                    .claims
                    .reading_done(reading, revision, youngest, &lines);
                shared.read_back = Instant::now();
                self.unknown_since = None;
                // Without a watch, readings are all we have.
                self.read_at = (!self.live).then_some(again);
            }
            Err(error) => {
                tracing::debug!(lock = %self.task.room.prefix, %error, "cannot read the queue");
                shared.claims.reading_failed(reading);
                self.read_at = Some(again);
                let now = self.task.clock.now();
                let unknown_for = now.since(*self.unknown_since.get_or_insert(now));
                if unknown_for > self.task.room.ttl {
                    for tenure in shared.claims.tenures() {
                        tenure.end(EndReason::Unverified);
                    }
                }
            }
        }
    }
}

/// What ends a wait.
enum Wake {
    Item(Option<WatchItem>),
    Read(Read),
    Bell,
    Timer,
}

impl RoomTask {
    /// Runs until the room is empty and has lingered.
    pub(crate) async fn run(self) {
        loop {
            let (want, last_use) = {
                let shared = self.room.lock();
                (shared.claims.want_watch(), shared.last_use)
            };
            if want {
                if !self.attend().await {
                    return;
                }
                continue;
            }
            let idle_at = last_use.max(Instant::now() - LINGER) + LINGER;
            tokio::select! {
                () = self.room.bell.notified() => {}
                () = sleep_until(idle_at) => {
                    if last_use + LINGER <= Instant::now() && self.room.close_if_empty() {
                        return;
                    }
                }
            }
        }
    }

    async fn read(&self, reading: Reading, youngest: i64) -> Read {
        let found = self.wire.queue(&self.room.prefix, youngest).await;
        let found = found.map(|(revision, lines)| (revision, youngest, lines));
        (reading, found)
    }

    /// Keeps the watch open while it is wanted and for a while after. False when the hub has closed.
    async fn attend(&self) -> bool {
        let range = Range {
            key: self.room.prefix.clone(),
            prefix: true,
            puts: false,
        };
        let Some(watch) = self.hub.subscribe(range).await else {
            return false;
        };
        let mut visit = Visit {
            task: self,
            watch,
            live: false,
            seen: self.wire.identity().seen(),
            unknown_since: None,
            reading: None,
            // Readings stand in for a watch that does not open.
            read_at: Some(Instant::now() + OPENS_WITHIN),
            wanted_until: Instant::now() + LINGER,
        };
        while visit.plan() {
            let wake = visit.wake().await;
            if !visit.handle(wake) {
                break;
            }
        }
        drop(visit);
        self.room.lock().unattended();
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
        let room = Room::new("/l/".into(), Duration::from_secs(10));
        let claim = room.claim("/l/me").expect("an open room");
        let line = |key: &str, create| Line {
            key: key.into(),
            create,
        };
        claim.settle(10, &[line("/l/a", 3), line("/l/me", 10)], 10);
        let mut shared = room.lock();
        shared.claims.opened(20);
        shared.claims.reading_began();
        shared.unattended();
        assert!(!shared.claims.want_reading(), "there is nothing to follow");
        shared.claims.opened(30);
        assert!(shared.claims.want_reading());
        drop(shared);
    }
}
