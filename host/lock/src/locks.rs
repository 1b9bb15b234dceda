//! [`Locks`]: one client of the store, with its sessions, its lock watches and its guard thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::connect::ConnectOptions;
use crate::connectivity::{Connectivity, StoreState, observe};
use crate::credentials::Credentials;
use crate::error::{ConnectError, StoreError};
use crate::identity::Identity;
use crate::kv::Kv;
use crate::lease_thread::Guard;
use crate::pool::{Pool, Slot};
use crate::queue_task::{Room, RoomClaim, RoomTask};
use crate::queue_verifier;
use crate::renewer::Renewer;
use crate::requests::Wire;
use crate::session::{Carries, Session, Terms};
use crate::watch_mux::{Hub, Range, Subscription};

/// Default clock rate error allowed for, as a fraction of the TTL.
pub const DEFAULT_DRIFT: f64 = 0.01;

/// Looks for entries of unanswered puts that may be under way at once. A network that loses the answers of
/// thousands of puts must not be followed by thousands of readings.
const LOOKS_AT_ONCE: usize = 4;

/// Between two looks at how long the client certificate holds.
const REVIEW_CERTIFICATE_EVERY: Duration = Duration::from_hours(12);

/// A client of the store that takes locks. Clones share everything.
///
/// # Guarantees
///
/// - All locks of one TTL share one lease, renewed from a thread of its own.
/// - Two entries for the *same* lock from one client get different leases, so they exclude each
///   other like entries of different machines.
#[derive(Clone)]
pub struct Locks(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    /// For requests of callers, on the caller's runtime.
    pub(crate) wire: Wire,
    /// For renewals, watches and clean-ups, on the guard's runtime.
    pub(crate) guard_wire: Wire,
    pub(crate) guard: Guard,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Turns at looking for entries of unanswered puts.
    pub(crate) looks: Semaphore,
    options: ConnectOptions,
    credentials: Arc<Credentials>,
    drift: f64,
    pool: Arc<Pool>,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    closed: AtomicBool,
}

impl Locks {
    /// Connects with the default clock and drift.
    ///
    /// Must be called on the tokio runtime that will make the requests.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when the options are unusable, nobody answers, or the store refuses us.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        Self::connect_with(options, Arc::new(SystemClock), DEFAULT_DRIFT).await
    }

    /// Connects; `drift` is the clock rate error to allow for, as a fraction (0.01 is 1 %).
    ///
    /// # Errors
    ///
    /// As [`Locks::connect`].
    pub async fn connect_with(
        options: ConnectOptions,
        clock: Arc<dyn Clock>,
        drift: f64,
    ) -> Result<Self, ConnectError> {
        let identity = Arc::new(Identity::default());
        let timeout = options.request_timeout_value();
        let probe_key = options.greet_key_value().to_owned();
        let credentials = Arc::new(options.credentials());
        let link = options.link(&identity, &credentials).await?;
        let connectivity = Connectivity::new(clock.clone(), timeout);
        let wire = Wire::new(
            link,
            identity.clone(),
            connectivity.clone(),
            timeout,
            &probe_key,
        );
        let guard = Guard::start().map_err(ConnectError::Guard)?;
        let (guard_options, known) = (options.clone(), identity.clone());
        let same = credentials.clone();
        let link = guard
            .run(async move { guard_options.link(&known, &same).await })
            .await
            .ok_or_else(|| ConnectError::Setup("the guard thread ended".into()))??;
        let guard_wire = Wire::new(link, identity, connectivity, timeout, &probe_key);
        let cancel = guard.cancel_token().clone();
        guard.spawn(observe(guard_wire.clone(), probe_key, cancel));
        let (hub, task) = Hub::new(guard_wire.clone(), guard.cancel_token().clone());
        guard.spawn(task);
        let pool = Pool::new(clock.clone());
        guard.spawn(
            pool.clone()
                .tend(guard_wire.clone(), guard.cancel_token().clone()),
        );
        if credentials.has_certificate() {
            let cancel = guard.cancel_token().clone();
            guard.spawn(review_certificate(credentials.clone(), cancel));
        }
        let locks = Self(Arc::new(Shared {
            wire,
            guard_wire,
            guard,
            hub: Arc::new(hub),
            clock,
            looks: Semaphore::new(LOOKS_AT_ONCE),
            options,
            credentials,
            drift,
            pool,
            rooms: Mutex::default(),
            closed: AtomicBool::new(false),
        }));
        let cancel = locks.0.guard.cancel_token().clone();
        let verify = queue_verifier::run(Arc::downgrade(&locks.0));
        locks.0.guard.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = verify => {}
            }
        });
        Ok(locks)
    }

    /// The clock that deadlines are read from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The endpoints this client was given.
    pub fn endpoints(&self) -> &[String] {
        self.0.options.endpoints()
    }

    /// The cluster's id, 0 until a reply has shown it.
    pub fn cluster_id(&self) -> u64 {
        self.0.wire.identity().cluster()
    }

    /// Reachability of the store, as it changes. For people and for work that waits for the store; a lock is
    /// held as long as its [`Tenure`](crate::Tenure) admits, whatever this shows.
    pub fn connectivity(&self) -> tokio::sync::watch::Receiver<StoreState> {
        self.0.wire.connectivity().state()
    }

    /// Plain and fenced access to keys.
    pub fn kv(&self) -> Kv {
        Kv::new(self.0.wire.clone())
    }

    /// The end of the client certificate that was used last; `None` without one.
    pub fn certificate_until(&self) -> Option<SystemTime> {
        self.0.credentials.certificate_until()
    }

    /// The lease for keys that should go when this client goes, granted for `ttl` and renewed like those of
    /// locks. It carries no lock: a lock's lease may have to end before the client does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store grants no lease.
    pub async fn lease(&self, ttl: Duration) -> Result<i64, StoreError> {
        let open = || self.0.open(ttl, Carries::Records);
        Ok(self.0.pool.records(ttl, open).await?.lease)
    }

    /// Ends the session of a lease for records that the store does not know. The next call of [`Locks::lease`]
    /// opens another.
    pub fn end_session(&self, lease: i64) {
        self.0.pool.end_records(lease);
    }

    /// The time to live that the store still gives `lease`, and what was granted, in seconds;
    /// `None` when the lease does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn lease_ttl(&self, lease: i64) -> Result<Option<(u64, u64)>, StoreError> {
        let ask = || {
            let mut leases = self.0.wire.client().lease_client();
            async move { leases.time_to_live(lease, None).await }
        };
        let reply = self.0.wire.ask(ask).await?;
        Ok(u64::try_from(reply.ttl())
            .ok()
            .filter(|_| reply.ttl() > 0 || reply.granted_ttl() > 0)
            .map(|left| (left, u64::try_from(reply.granted_ttl()).unwrap_or(0))))
    }

    /// Watches a key range: for views.
    pub(crate) async fn watch(&self, range: Range) -> Option<Subscription> {
        self.0.hub.subscribe(range).await
    }

    /// Gives up every session and ends the guard.
    ///
    /// Stop what runs under the locks *first*: this revokes the leases, and others may acquire at
    /// once. Entries whose removal the store has not confirmed expire with their lease.
    pub async fn close(&self) {
        if self.0.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.0.pool.close(&self.0.wire).await;
        self.0.guard.close().await;
    }
}

impl Shared {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Makes a slot for one entry of `name`, on the first session of that TTL that can carry it.
    pub(crate) async fn slot(&self, ttl: Duration, name: &str) -> Result<Slot, StoreError> {
        let open = || self.open(ttl, Carries::Entries);
        self.pool.slot(ttl, name, open).await
    }

    async fn open(&self, ttl: Duration, carries: Carries) -> Result<Arc<Session>, StoreError> {
        let terms = Terms {
            ttl,
            drift: self.drift,
        };
        let session = Session::open(&self.wire, terms, carries, self.clock.clone()).await?;
        let cancel = self.guard.cancel_token().clone();
        let renewer = Renewer::new(session.clone(), self.guard_wire.clone());
        self.guard.spawn(renewer.run(cancel));
        Ok(session)
    }

    /// Announces an entry in the room of `prefix`, opening the room if need be.
    pub(crate) fn claim(self: &Arc<Self>, prefix: &str, key: &str, ttl: Duration) -> RoomClaim {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claim) = rooms.get(prefix).and_then(|room| room.claim(key)) {
            return claim;
        }
        loop {
            let room = Room::new(prefix.to_owned(), ttl);
            rooms.insert(prefix.to_owned(), room.clone());
            let task = RoomTask {
                room: room.clone(),
                hub: self.hub.clone(),
                wire: self.guard_wire.clone(),
                clock: self.clock.clone(),
            };
            let cancel = self.guard.cancel_token().clone();
            let owner = Arc::downgrade(self);
            let prefix = prefix.to_owned();
            self.guard.spawn(async move {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = task.run() => {}
                }
                if let Some(owner) = owner.upgrade() {
                    owner.forget_closed_room(&prefix);
                }
            });
            if let Some(claim) = room.claim(key) {
                return claim;
            }
        }
    }

    /// The shortest TTL that a room's locks are taken with.
    pub(crate) fn shortest_room_ttl(&self) -> Option<Duration> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.values().map(|room| room.ttl).min()
    }

    /// The rooms whose queues no reading has confirmed for the better part of their TTL.
    pub(crate) fn rooms_unread(&self) -> Vec<Arc<Room>> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let unread = rooms
            .values()
            .filter(|room| room.is_unread_for(room.ttl / 2));
        unread.cloned().collect()
    }

    fn forget_closed_room(&self, prefix: &str) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.get(prefix).is_some_and(|room| room.is_closed()) {
            rooms.remove(prefix);
        }
    }
}

/// Warns when the client certificate on disk is about to end. Connections may last longer than certificates.
async fn review_certificate(credentials: Arc<Credentials>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(REVIEW_CERTIFICATE_EVERY) => credentials.review().await,
        }
    }
}
