//! [`Locks`]: one client of the store, with its sessions, its lock watches and its lease thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use leasehold_ids::LeaseId;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::connect::ConnectOptions;
use crate::connectivity::{ConnectivityMonitor, StoreState};
use crate::connectivity_probe::observe;
use crate::credentials::StoreCredentials;
use crate::error::{ConnectError, StoreError};
use crate::identity::StoreIdentity;
use crate::kv::Kv;
use crate::lease_thread::LeaseThread;
use crate::link::StoreLink;
use crate::local_queue::{LocalQueue, QueueClaim};
use crate::lock_entry::LockEntry;
use crate::pool::{EntrySlot, SessionPool};
use crate::queue_registry::QueueRegistry;
use crate::queue_task::QueueTask;
use crate::queue_verifier;
use crate::renewer::LeaseRenewer;
use crate::requests::StoreRequests;
use crate::session::{LeasePurpose, LeaseSession, LeaseTerms};
use crate::watch_mux::WatchMux;
use crate::watch_mux::subscription::{WatchRange, WatchSubscription};

/// Default clock rate error allowed for, as a fraction of the TTL.
pub const DEFAULT_DRIFT: f64 = 0.01;

/// Searches for entries of unanswered puts that may be under way at once. A network that loses the answers of
/// thousands of puts must not be followed by thousands of reads.
const LOOKS_AT_ONCE: usize = 4;

/// Pause between two checks of the client certificate's end.
const REVIEW_CERTIFICATE_EVERY: Duration = Duration::from_hours(12);

/// A client of the store that takes locks. Clones share everything.
///
/// # Guarantees
///
/// - All locks of one TTL share one lease, renewed from a thread of its own.
/// - Two entries for the *same* lock from one client get different leases, whatever their modes, so they exclude each
///   other, or hold beside each other, like entries of different machines.
#[derive(Clone)]
pub struct Locks(pub(crate) Arc<LockClient>);

pub(crate) struct LockClient {
    /// For requests of callers, on the caller's runtime.
    pub(crate) requests: StoreRequests,
    /// For renewals, watches and clean-ups, on the lease thread's runtime.
    pub(crate) background_requests: StoreRequests,
    pub(crate) lease_thread: LeaseThread,
    pub(crate) mux: Arc<WatchMux>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Permits to search for entries of unanswered puts.
    pub(crate) looks: Semaphore,
    options: ConnectOptions,
    credentials: Arc<StoreCredentials>,
    drift: f64,
    pool: Arc<SessionPool>,
    queues: Arc<QueueRegistry>,
    closed: AtomicBool,
}

impl Locks {
    /// Connects with the default clock and drift.
    ///
    /// Must be called on the tokio runtime that will make the requests.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when the options are unusable, no endpoint answers, or the store refuses us.
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
        let identity = Arc::new(StoreIdentity::default());
        let timeout = options.request_timeout_value();
        let probe_key = options.greet_key_value().to_owned();
        let credentials = Arc::new(options.credentials());
        let link = StoreLink::open(&options, &identity, &credentials).await?;
        let connectivity = ConnectivityMonitor::new(clock.clone(), timeout);
        let requests = StoreRequests::new(
            link,
            identity.clone(),
            connectivity.clone(),
            timeout,
            &probe_key,
        );
        let lease_thread = LeaseThread::start().map_err(ConnectError::LeaseThread)?;
        let (background_options, known) = (options.clone(), identity.clone());
        let same = credentials.clone();
        let link = lease_thread
            .run(async move { StoreLink::open(&background_options, &known, &same).await })
            .await
            .ok_or_else(|| ConnectError::Setup("the guard thread ended".into()))??;
        let background_requests =
            StoreRequests::new(link, identity, connectivity, timeout, &probe_key);
        let cancel = lease_thread.cancel_token().clone();
        lease_thread.spawn(observe(background_requests.clone(), probe_key, cancel));
        let (mux, task) = WatchMux::new(
            background_requests.clone(),
            lease_thread.cancel_token().clone(),
        );
        lease_thread.spawn(task);
        let pool = SessionPool::new(clock.clone());
        lease_thread.spawn(pool.clone().maintain(
            background_requests.clone(),
            lease_thread.cancel_token().clone(),
        ));
        if credentials.has_certificate() {
            let cancel = lease_thread.cancel_token().clone();
            lease_thread.spawn(review_certificate(credentials.clone(), cancel));
        }
        let locks = Self(Arc::new(LockClient {
            requests,
            background_requests,
            lease_thread,
            mux: Arc::new(mux),
            clock,
            looks: Semaphore::new(LOOKS_AT_ONCE),
            options,
            credentials,
            drift,
            pool,
            queues: Arc::default(),
            closed: AtomicBool::new(false),
        }));
        let cancel = locks.0.lease_thread.cancel_token().clone();
        let verify = queue_verifier::run(
            Arc::downgrade(&locks.0.queues),
            locks.0.background_requests.clone(),
        );
        locks.0.lease_thread.spawn(async move {
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
        self.0.requests.identity().cluster()
    }

    /// Reachability of the store, as it changes. For display, and for work that waits for the store. A lock is held
    /// as long as its [`Tenure`](crate::Tenure) admits, whatever this shows.
    pub fn connectivity(&self) -> tokio::sync::watch::Receiver<StoreState> {
        self.0.requests.connectivity().state()
    }

    /// Plain and fenced access to keys.
    pub fn kv(&self) -> Kv {
        Kv::new(self.0.requests.clone())
    }

    /// The end of the client certificate that was used last; `None` without one.
    pub fn certificate_until(&self) -> Option<SystemTime> {
        self.0.credentials.certificate_until()
    }

    /// The lease for keys that end with this client, granted for `ttl` and renewed like those of locks. It carries no
    /// lock: a lock's lease may have to end before the client does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store grants no lease.
    pub async fn lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let open = || self.0.open(ttl, LeasePurpose::Records);
        Ok(self.0.pool.records(ttl, open).await?.lease)
    }

    /// Ends the session of a lease for records that does not exist in the store. The next call of [`Locks::lease`]
    /// opens another.
    pub fn end_session(&self, lease: LeaseId) {
        self.0.pool.end_records(lease);
    }

    /// The time to live that the store still gives `lease`, and the granted one, in seconds; `None` when the lease
    /// does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn lease_ttl(&self, lease: LeaseId) -> Result<Option<(u64, u64)>, StoreError> {
        let ask = || {
            let mut leases = self.0.requests.client().lease_client();
            async move { leases.time_to_live(lease.get(), None).await }
        };
        let reply = self.0.requests.send(ask).await?;
        Ok(u64::try_from(reply.ttl())
            .ok()
            .filter(|_| reply.ttl() > 0 || reply.granted_ttl() > 0)
            .map(|left| (left, u64::try_from(reply.granted_ttl()).unwrap_or(0))))
    }

    /// Watches a range of keys, for views.
    pub(crate) async fn watch(&self, range: WatchRange) -> Option<WatchSubscription> {
        self.0.mux.subscribe(range).await
    }

    /// Ends every session, revokes the leases, and leaves the lease thread.
    ///
    /// Stop the work under the locks *first*: this revokes the leases, and others may acquire at once. Entries whose
    /// removal the store has not confirmed expire with their lease.
    pub async fn close(&self) {
        if self.0.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.0.pool.close(&self.0.requests).await;
        self.0.lease_thread.close().await;
    }
}

impl LockClient {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Makes a slot for one entry of each of `names`, on the first session of that TTL that can carry them all.
    pub(crate) async fn slot(
        &self,
        ttl: Duration,
        names: &[&str],
    ) -> Result<EntrySlot, StoreError> {
        let open = || self.open(ttl, LeasePurpose::Entries);
        self.pool.slot(ttl, names, open).await
    }

    async fn open(
        &self,
        ttl: Duration,
        carries: LeasePurpose,
    ) -> Result<Arc<LeaseSession>, StoreError> {
        let terms = LeaseTerms {
            ttl,
            drift: self.drift,
        };
        let session =
            LeaseSession::open(&self.requests, terms, carries, self.clock.clone()).await?;
        let cancel = self.lease_thread.cancel_token().clone();
        let renewer = LeaseRenewer::new(session.clone(), self.background_requests.clone());
        let (observer, lease) = (self.requests.observer().clone(), session.lease);
        self.lease_thread.spawn(async move {
            renewer.run(cancel).await;
            observer.notify(|observer| observer.lease_ended(lease));
        });
        Ok(session)
    }

    /// Announces an entry in the local queue of its lock, and opens that queue if need be.
    pub(crate) fn claim(&self, entry: &LockEntry, ttl: Duration) -> QueueClaim {
        self.queues
            .claim(entry, ttl, |queue| self.spawn_queue_task(queue))
    }

    fn spawn_queue_task(&self, queue: Arc<LocalQueue>) {
        let prefix = queue.prefix.clone();
        let task = QueueTask {
            queue,
            mux: self.mux.clone(),
            requests: self.background_requests.clone(),
            clock: self.clock.clone(),
        };
        let cancel = self.lease_thread.cancel_token().clone();
        let registry = Arc::downgrade(&self.queues);
        self.lease_thread.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = task.run() => {}
            }
            if let Some(registry) = registry.upgrade() {
                registry.forget_closed(&prefix);
            }
        });
    }
}

/// Warns when the client certificate on disk is about to end. Connections may last longer than certificates.
async fn review_certificate(credentials: Arc<StoreCredentials>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(REVIEW_CERTIFICATE_EVERY) => credentials.review().await,
        }
    }
}
