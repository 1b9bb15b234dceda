//! [`Locks`]: one client of the store, with its sessions, its lock watches and its guard thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::connect::ConnectOptions;
use crate::error::{ConnectError, StoreError};
use crate::guard::Guard;
use crate::hub::{Hub, Range, Subscription};
use crate::kv::Kv;
use crate::room::{Room, RoomClaim, RoomTask};
use crate::session::{Session, Slot, Terms, renew};
use crate::wire::{Identity, Wire};

/// Default clock rate error allowed for, as a fraction of the TTL.
pub const DEFAULT_DRIFT: f64 = 0.01;

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
    options: ConnectOptions,
    drift: f64,
    sessions: tokio::sync::Mutex<HashMap<Duration, Vec<Arc<Session>>>>,
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
        let wire = Wire::new(options.link(&identity).await?, identity.clone(), timeout);
        let guard = Guard::start().map_err(ConnectError::Guard)?;
        let (guard_options, known) = (options.clone(), identity.clone());
        let link = guard
            .run(async move { guard_options.link(&known).await })
            .await
            .ok_or_else(|| ConnectError::Setup("the guard thread ended".into()))??;
        let guard_wire = Wire::new(link, identity, timeout);
        let (hub, task) = Hub::new(guard_wire.clone(), guard.cancel_token().clone());
        guard.spawn(task);
        Ok(Self(Arc::new(Shared {
            wire,
            guard_wire,
            guard,
            hub: Arc::new(hub),
            clock,
            options,
            drift,
            sessions: tokio::sync::Mutex::default(),
            rooms: Mutex::default(),
            closed: AtomicBool::new(false),
        })))
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

    /// Plain and fenced access to keys.
    pub fn kv(&self) -> Kv {
        Kv::new(self.0.wire.clone())
    }

    /// The lease of the session for `ttl`, opened if need be, for keys that should go when this
    /// client goes. It is shared with the locks of that TTL.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store grants no lease.
    pub async fn lease(&self, ttl: Duration) -> Result<i64, StoreError> {
        Ok(self.0.session(ttl).await?.lease)
    }

    /// Ends the session of a lease that the store does not know, and with it every tenure on it.
    /// The next call of [`Locks::lease`] opens another.
    pub async fn end_session(&self, lease: i64) {
        let sessions = self.0.sessions.lock().await;
        let known = sessions
            .values()
            .flatten()
            .find(|session| session.lease == lease);
        if let Some(session) = known {
            session.end(crate::tenure::EndReason::LeaseGone);
        }
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
        let sessions = std::mem::take(&mut *self.0.sessions.lock().await);
        for session in sessions.into_values().flatten() {
            session.end(crate::tenure::EndReason::Released);
            let lease = session.lease;
            let revoke = || {
                let mut leases = self.0.wire.client().lease_client();
                async move { leases.revoke(lease).await }
            };
            if let Err(error) = self.0.wire.ask(revoke).await {
                tracing::debug!(lease = session.lease, %error, "lease left to expire");
            }
        }
        self.0.guard.close().await;
    }
}

impl Shared {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Makes a slot for one entry of `name`, on the first session of that TTL without one.
    pub(crate) async fn slot(&self, ttl: Duration, name: &str) -> Result<Slot, StoreError> {
        let mut sessions = self.sessions.lock().await;
        let pool = sessions.entry(ttl).or_default();
        Self::prune(pool);
        for session in pool.iter() {
            if let Some(slot) = Slot::take(session, name) {
                return Ok(slot);
            }
        }
        let session = self.open(ttl).await?;
        pool.push(session.clone());
        Slot::take(&session, name)
            .ok_or_else(|| StoreError::Unknown("a new session was taken at once".into()))
    }

    async fn session(&self, ttl: Duration) -> Result<Arc<Session>, StoreError> {
        let mut sessions = self.sessions.lock().await;
        let pool = sessions.entry(ttl).or_default();
        Self::prune(pool);
        if let Some(session) = pool.first() {
            return Ok(session.clone());
        }
        let session = self.open(ttl).await?;
        pool.push(session.clone());
        Ok(session)
    }

    /// Drops sessions that have ended. Slots still out keep theirs alive on their own.
    fn prune(pool: &mut Vec<Arc<Session>>) {
        pool.retain(|session| session.is_alive());
    }

    async fn open(&self, ttl: Duration) -> Result<Arc<Session>, StoreError> {
        let terms = Terms {
            ttl,
            drift: self.drift,
        };
        let session = Session::open(&self.wire, terms, self.clock.clone()).await?;
        let cancel = self.guard.cancel_token().clone();
        self.guard
            .spawn(renew(session.clone(), self.guard_wire.clone(), cancel));
        Ok(session)
    }

    /// Announces an entry in the room of `prefix`, opening the room if need be.
    pub(crate) fn claim(self: &Arc<Self>, prefix: &str, key: &str, ttl: Duration) -> RoomClaim {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claim) = rooms.get(prefix).and_then(|room| room.claim(key)) {
            return claim;
        }
        loop {
            let room = Room::new(prefix.to_owned());
            rooms.insert(prefix.to_owned(), room.clone());
            let task = RoomTask {
                room: room.clone(),
                hub: self.hub.clone(),
                wire: self.guard_wire.clone(),
                clock: self.clock.clone(),
                unverified_after: ttl,
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

    fn forget_closed_room(&self, prefix: &str) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.get(prefix).is_some_and(|room| room.is_closed()) {
            rooms.remove(prefix);
        }
    }
}
