//! The lease of standing records, and the check that they still exist under it.

use std::time::Duration;

use leasehold_lock::LeaseId;
use tokio::time::Instant;

use super::{WorkResult, Writer};

/// The lease of standing records.
#[derive(Debug)]
pub(super) struct Lease {
    /// The lease under which they were written; `None` before the first one, and after it has ended.
    pub(super) current: Option<LeaseId>,
    /// Time of the next check that it still is the session's, and that the host's record exists.
    pub(super) look_at: Instant,
    pub(super) is_asked: bool,
    pub(super) every: Duration,
}

/// The session's lease, and the host's record under it.
#[derive(Debug)]
pub(super) struct LeaseFacts {
    lease: LeaseId,
    host: HostKey,
}

/// The host's record, as read from the store.
#[derive(Debug)]
pub(super) enum HostKey {
    /// Not read: it is about to be written, or the store did not answer.
    Unread,
    Missing,
    Under(LeaseId),
}

impl Writer {
    /// Requests the session's lease, and the host's record if it should exist.
    pub(super) fn look_at_lease(&mut self) {
        self.lease.is_asked = true;
        let (locks, kv, ttl) = (self.locks.clone(), self.kv.clone(), self.ttl);
        let host = self.host_key.clone();
        let host = host.filter(|key| self.lease.current.is_some() && !self.outbox.has(key));
        self.begin(async move {
            let lease = match locks.lease(ttl).await {
                Ok(lease) => lease,
                Err(error) => return WorkResult::Lease(Err(error)),
            };
            let host = match host {
                Some(key) => match kv.get(&key).await {
                    Ok(Some(found)) => HostKey::Under(found.lease),
                    Ok(None) => HostKey::Missing,
                    Err(_) => HostKey::Unread,
                },
                None => HostKey::Unread,
            };
            WorkResult::Lease(Ok(LeaseFacts { lease, host }))
        });
    }

    /// Handles a lease that the store does not have: the next check gets another.
    pub(super) fn lease_ended(&mut self, lease: LeaseId, now: Instant) {
        self.lease.current = None;
        self.lease.look_at = now;
        let locks = self.locks.clone();
        let ttl = self.ttl;
        self.lease.is_asked = true;
        self.begin(async move {
            locks.end_session(lease);
            let lease = locks.lease(ttl).await;
            let host = HostKey::Unread;
            WorkResult::Lease(lease.map(|lease| LeaseFacts { lease, host }))
        });
    }

    pub(super) fn lease_known(&mut self, facts: &LeaseFacts, now: Instant) {
        let is_new = self.lease.current != Some(facts.lease);
        let host = self.host_key.as_deref();
        // The result counts only if no write of that key was under way meanwhile.
        let is_settled = host.is_some_and(|key| !self.outbox.has(key));
        let is_missing = is_settled
            && match facts.host {
                HostKey::Unread => false,
                HostKey::Missing => true,
                HostKey::Under(lease) => lease != facts.lease,
            };
        self.lease.current = Some(facts.lease);
        if is_new || is_missing {
            self.outbox.rewrite_standing(now);
        }
    }
}
