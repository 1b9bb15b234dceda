//! The sessions of one client: the entries on each lease, and the revocation of unused leases.
//!
//! # Guarantees
//!
//! - Opening one session holds up only acquisitions that need a new lease of the same TTL.
//! - A lease under which a put was never answered takes no further entry, and is revoked when its last entry is
//!   deleted. Only the lease's end rules out that the put arrives.
//! - Leases of records ([`SessionPool::records`]) carry no entries, so revoking one never takes a record along.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use leasehold_ids::LeaseId;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::end_reason::EndReason;
use crate::error::{RefusalKind, StoreError};
use crate::lease_uses::LeaseUses;
use crate::requests::StoreRequests;
use crate::session::LeaseSession;

/// A session without entries is revoked after this long, unless it is the first of its TTL.
const IDLE: Duration = Duration::from_mins(1);
/// The first of its TTL is kept for jobs that come back; after this long none uses the TTL any more.
const FIRST_IDLE: Duration = Duration::from_mins(30);
/// Pause between two searches for idle sessions.
const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// Sessions to open for one slot: the first may be taken by another acquisition of the same name. A store whose
/// leases have ended when they are granted receives no more requests than this.
const MOST_OPENINGS: u32 = 3;
/// Limit for the store to confirm, at closing, that the leases are revoked.
const REVOKE_PATIENCE: Duration = Duration::from_secs(2);

/// The sessions of one client.
pub(crate) struct SessionPool {
    clock: Arc<dyn Clock>,
    ttls: Mutex<HashMap<Duration, Arc<PerTtl>>>,
    /// Sessions that are being revoked.
    revoking: Mutex<Vec<Arc<PooledSession>>>,
    /// Wakes the maintenance when a session may be unused.
    wake_up: Notify,
}

/// The sessions of one TTL.
#[derive(Default)]
struct PerTtl {
    entries: Mutex<Vec<Arc<PooledSession>>>,
    records: Mutex<Option<Arc<LeaseSession>>>,
    opening: tokio::sync::Mutex<()>,
    /// Time and error of the last failure to open a session.
    failed: Mutex<Option<(Instant, StoreError)>>,
}

/// A session and the names that are used under it.
pub(crate) struct PooledSession {
    session: Arc<LeaseSession>,
    uses: Mutex<LeaseUses>,
}

impl PooledSession {
    fn uses(&self) -> MutexGuard<'_, LeaseUses> {
        locked(&self.uses)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SessionPool {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            ttls: Mutex::default(),
            revoking: Mutex::default(),
            wake_up: Notify::new(),
        })
    }

    fn per_ttl(&self, ttl: Duration) -> Arc<PerTtl> {
        locked(&self.ttls).entry(ttl).or_default().clone()
    }

    /// A slot for one entry of each of `names`, on the first session of that TTL that can carry them all.
    pub(crate) async fn slot<F>(
        self: &Arc<Self>,
        ttl: Duration,
        names: &[&str],
        open: impl Fn() -> F,
    ) -> Result<EntrySlot, StoreError>
    where
        F: Future<Output = Result<Arc<LeaseSession>, StoreError>>,
    {
        let per_ttl = self.per_ttl(ttl);
        let find = || self.find(&per_ttl, names);
        let add = |session| {
            let uses = Mutex::new(LeaseUses::new(self.clock.now()));
            locked(&per_ttl.entries).push(Arc::new(PooledSession { session, uses }));
        };
        per_ttl.find_or_open(find, open, add).await
    }

    fn find(self: &Arc<Self>, per_ttl: &PerTtl, names: &[&str]) -> Option<EntrySlot> {
        let mut entries = locked(&per_ttl.entries);
        // Slots still out keep sessions that have ended alive on their own.
        entries.retain(|pooled| pooled.session.is_alive());
        let mut usable = entries.iter().filter(|pooled| pooled.session.has_time());
        let pooled = usable.find(|pooled| pooled.uses().take(names))?;
        if let Some(name) = names.first() {
            pooled.session.carries(name);
        }
        Some(EntrySlot {
            pool: Arc::clone(self),
            pooled: Arc::clone(pooled),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    /// The session for keys that end with this client.
    pub(crate) async fn records<F>(
        &self,
        ttl: Duration,
        open: impl Fn() -> F,
    ) -> Result<Arc<LeaseSession>, StoreError>
    where
        F: Future<Output = Result<Arc<LeaseSession>, StoreError>>,
    {
        let per_ttl = self.per_ttl(ttl);
        let find = || {
            locked(&per_ttl.records)
                .clone()
                .filter(|session| session.is_alive())
        };
        let add = |session| *locked(&per_ttl.records) = Some(session);
        per_ttl.find_or_open(find, open, add).await
    }

    /// Ends the session for records whose lease does not exist in the store.
    pub(crate) fn end_records(&self, lease: LeaseId) {
        for per_ttl in locked(&self.ttls).values() {
            let records = locked(&per_ttl.records);
            if let Some(session) = records.as_ref().filter(|session| session.lease == lease) {
                session.end(EndReason::LeaseEnded);
            }
        }
    }

    /// Takes the unused sessions out of the pool.
    fn sweep(&self) -> Vec<Arc<PooledSession>> {
        let now = self.clock.now();
        let mut spent = Vec::new();
        for per_ttl in locked(&self.ttls).values() {
            let mut entries = locked(&per_ttl.entries);
            entries.retain(|pooled| pooled.session.is_alive());
            for (at, pooled) in entries.iter().enumerate() {
                let long = if at == 0 { FIRST_IDLE } else { IDLE };
                pooled.uses().retire_if_idle(now, long);
            }
            spent.extend(entries.extract_if(.., |pooled| pooled.uses().is_spent()));
        }
        spent
    }

    /// Revokes unused sessions until `cancel` is called. Runs on the lease thread.
    pub(crate) async fn maintain(
        self: Arc<Self>,
        requests: StoreRequests,
        cancel: CancellationToken,
    ) {
        let mut revoking = FuturesUnordered::new();
        loop {
            for pooled in self.sweep() {
                // Nothing is on it, and no renewal shall keep it from ending.
                pooled.session.end(EndReason::Released);
                locked(&self.revoking).push(Arc::clone(&pooled));
                revoking.push(self.revoke_until_done(&requests, pooled));
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.wake_up.notified() => {}
                Some(()) = revoking.next(), if !revoking.is_empty() => {}
                () = sleep(SWEEP_EVERY) => {}
            }
        }
    }

    /// Revokes the lease, and repeats that for as long as the store may still have it.
    async fn revoke_until_done(&self, requests: &StoreRequests, pooled: Arc<PooledSession>) {
        let session = &pooled.session;
        let revoking = async {
            let mut backoff = Backoff::reconnect();
            while let Err(error) = revoke(requests, session.lease).await {
                tracing::debug!(lease = session.lease.get(), %error, "cannot revoke a lease yet");
                sleep(backoff.next()).await;
            }
        };
        // After one TTL without renewals the store has ended it by itself.
        let _ = timeout(session.terms.ttl, revoking).await;
        locked(&self.revoking).retain(|other| !Arc::ptr_eq(other, &pooled));
    }

    /// Ends every session and revokes the leases, all at once and within one bound. Leases that the
    /// store does not confirm by then expire.
    pub(crate) async fn close(&self, requests: &StoreRequests) {
        let mut sessions: Vec<Arc<LeaseSession>> = Vec::new();
        for per_ttl in locked(&self.ttls).values() {
            let entries = std::mem::take(&mut *locked(&per_ttl.entries));
            sessions.extend(entries.iter().map(|pooled| pooled.session.clone()));
            sessions.extend(locked(&per_ttl.records).take());
        }
        let revoking = std::mem::take(&mut *locked(&self.revoking));
        sessions.extend(revoking.iter().map(|pooled| pooled.session.clone()));
        for session in &sessions {
            session.end(EndReason::Released);
        }
        let mut revoking: FuturesUnordered<_> = sessions
            .iter()
            .map(|session| async { (session.lease, revoke(requests, session.lease).await) })
            .collect();
        let all = async {
            while let Some((lease, revoked)) = revoking.next().await {
                if let Err(error) = revoked {
                    tracing::debug!(lease = lease.get(), %error, "lease left to expire");
                }
            }
        };
        if timeout(REVOKE_PATIENCE, all).await.is_err() {
            tracing::debug!("leases left to expire: the store did not confirm in time");
        }
    }
}

impl PerTtl {
    /// Result of `find`, after opening a session if need be. One session is opened at a time. A caller that waited
    /// for it calls `find` again before opening another, and shares the failure.
    async fn find_or_open<T, F>(
        &self,
        find: impl Fn() -> Option<T>,
        open: impl Fn() -> F,
        add: impl Fn(Arc<LeaseSession>),
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Arc<LeaseSession>, StoreError>>,
    {
        if let Some(found) = find() {
            return Ok(found);
        }
        let asked = Instant::now();
        let _one_at_a_time = self.opening.lock().await;
        for _ in 0..MOST_OPENINGS {
            if let Some(found) = find() {
                return Ok(found);
            }
            let failed = locked(&self.failed).clone();
            if let Some((_, error)) = failed.filter(|(when, _)| *when >= asked) {
                return Err(error);
            }
            match open().await {
                Ok(session) => add(session),
                Err(error) => {
                    *locked(&self.failed) = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            }
        }
        let ended = "the leases it grants have ended when they arrive".to_owned();
        find().ok_or(StoreError::Unknown(ended))
    }
}

/// `Ok` when the lease certainly does not exist.
async fn revoke(requests: &StoreRequests, lease: LeaseId) -> Result<(), StoreError> {
    let revoke = || {
        let mut leases = requests.client().lease_client();
        async move { leases.revoke(lease.get()).await }
    };
    match requests.send(revoke).await {
        Ok(_)
        | Err(StoreError::Refused {
            kind: RefusalKind::LeaseNotFound,
            ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The right to have the one entry of each of some names under a session. Freed on drop, so it must be kept until the
/// entries are certainly deleted from the store.
pub(crate) struct EntrySlot {
    pool: Arc<SessionPool>,
    pooled: Arc<PooledSession>,
    names: Vec<String>,
}

impl EntrySlot {
    pub(crate) fn session(&self) -> &Arc<LeaseSession> {
        &self.pooled.session
    }

    /// Leaves the names taken for as long as the session lives: a foreign key exists under one of the entries'.
    pub(crate) fn leave_to_foreign(mut self) {
        let now = self.pool.clock.now();
        let mut uses = self.pooled.uses();
        // Freed in place of the names: nothing.
        for name in std::mem::take(&mut self.names) {
            uses.set_aside(&name, now);
        }
        drop(uses);
        self.pool.wake_up.notify_one();
    }

    /// Retires the session: a put of these entries may arrive for as long as the lease lives.
    pub(crate) fn unanswered(&self) {
        let now = self.pool.clock.now();
        let mut uses = self.pooled.uses();
        for name in &self.names {
            uses.unanswered(name, now);
        }
        drop(uses);
        self.pool.wake_up.notify_one();
    }
}

impl Drop for EntrySlot {
    fn drop(&mut self) {
        let now = self.pool.clock.now();
        let mut uses = self.pooled.uses();
        for name in &self.names {
            uses.free(name, now);
        }
        let is_spent = uses.is_spent();
        drop(uses);
        if is_spent {
            self.pool.wake_up.notify_one();
        }
    }
}
