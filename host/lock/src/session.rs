//! Sessions: one lease each, renewed on the lease thread, with a deadline that never trusts the server's clock to be
//! late.
//!
//! # Guarantees
//!
//! - The deadline ends before the lease can: `D = t_send + TTL × (1 − drift)`, where `t_send` is read
//!   *before* the renewal is queued and TTL is the one in the reply. The server starts counting at
//!   the earliest when it receives the renewal, which is after `t_send`. Each tenure takes its stop
//!   margin off D as well.
//! - A reply extends D only once it is proven to come from the leader; see the `renewal` module. Renewals without a
//!   reply are counted, and replies are matched in order. A reset stream drops the pending ones.
//! - A session whose deadline has passed is over, though its lease may live on the server.
//!
//! # Assumptions
//!
//! The local clock's rate is within `drift` of the server's. A live lease is never taken as proof
//! that a lock is held: some etcd versions renew leases that were revoked.
//!
//! The lease discipline follows Gray and Cheriton, "Leases" (SOSP 1989).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_ids::LeaseId;

use crate::clock::{BootTime, Clock};
use crate::end_reason::EndReason;
use crate::error::StoreError;
use crate::requests::StoreRequests;
use crate::tenure::{SessionDeadline, Tenure};

/// etcd grants no lease for less.
const LEAST_TTL: Duration = Duration::from_secs(2);

/// Terms from which a lease's end is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTerms {
    /// The requested TTL, in whole seconds.
    pub(crate) ttl: Duration,
    /// The clock rate error to allow for, as a fraction.
    pub(crate) drift: f64,
}

impl LeaseTerms {
    /// The deadline that a reply granting `ttl` earns a request sent at `sent`. A store that grants more than
    /// requested is trusted only up to its own least TTL.
    pub(crate) fn deadline(&self, sent: BootTime, ttl: Duration) -> BootTime {
        let ttl = ttl.min(self.ttl.max(LEAST_TTL));
        sent.after(ttl.mul_f64(1.0 - self.drift))
    }
}

/// Kind of keys that a lease carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeasePurpose {
    /// Entries of locks: tenures rest on its deadline.
    Entries,
    /// Records, which are written again after the loss of the lease. Nothing acts on the strength of it.
    Records,
}

/// A lease of ours and its deadline.
#[derive(Debug)]
pub(crate) struct LeaseSession {
    pub(crate) lease: LeaseId,
    pub(crate) terms: LeaseTerms,
    deadline: Arc<SessionDeadline>,
    clock: Arc<dyn Clock>,
    carries: LeasePurpose,
    /// A key that we may read: that of the last entry.
    own_key: Mutex<Option<String>>,
}

impl std::fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl LeaseSession {
    /// Requests a lease from the store. The caller must run a [`LeaseRenewer`](crate::renewer::LeaseRenewer) for it.
    pub(crate) async fn open(
        requests: &StoreRequests,
        terms: LeaseTerms,
        carries: LeasePurpose,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        let seconds = i64::try_from(terms.ttl.as_secs()).unwrap_or(i64::MAX);
        let ask = || {
            let mut leases = requests.client().lease_client();
            async move { leases.grant(seconds, None).await }
        };
        let before = requests.identity().before_sending();
        let sent = clock.now();
        let reply = requests.send(ask).await?;
        if !requests.identity().is_same_cluster(reply.header()) {
            return Err(StoreError::Unknown(
                "another cluster answered at this address".into(),
            ));
        }
        let granted = Duration::from_secs(u64::try_from(reply.ttl()).unwrap_or(0));
        let deadline = SessionDeadline::new(terms.deadline(sent, granted));
        requests.identity().register(&deadline, &clock, before);
        Ok(Arc::new(Self {
            lease: LeaseId::new(reply.id()),
            terms,
            deadline,
            clock,
            carries,
            own_key: Mutex::default(),
        }))
    }

    /// A session of a lease that was granted now, without a store.
    #[cfg(test)]
    pub(crate) fn for_test(
        lease: LeaseId,
        terms: LeaseTerms,
        purpose: LeasePurpose,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            lease,
            terms,
            deadline: SessionDeadline::new(terms.deadline(clock.now(), terms.ttl)),
            clock,
            carries: purpose,
            own_key: Mutex::default(),
        })
    }

    /// A tenure on this session that ends `margin` before it.
    pub(crate) fn tenure(&self, margin: Duration) -> Tenure {
        Tenure::new(self.clock.clone(), self.deadline.clone(), margin)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.deadline.ended().is_none() && self.clock.now() < self.deadline.at()
    }

    /// True if enough of the lease is left to begin something under it. Less than a quarter is left only where
    /// renewals fail.
    pub(crate) fn has_time(&self) -> bool {
        self.is_alive() && self.left() >= self.terms.ttl / 4
    }

    pub(crate) fn end_reason(&self) -> EndReason {
        self.deadline
            .ended()
            .cloned()
            .unwrap_or(EndReason::DeadlinePassed)
    }

    /// Remembers that an entry of `name` is put under this session: its key is one that we may read.
    pub(crate) fn carries(&self, name: &str) {
        let key = format!("{name}/{}", self.lease);
        *self.own_key() = Some(key);
    }

    /// The key of the last entry.
    pub(crate) fn some_key(&self) -> Option<String> {
        self.own_key().clone()
    }

    fn own_key(&self) -> MutexGuard<'_, Option<String>> {
        self.own_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if its renewals must be proven.
    pub(crate) const fn needs_proof(&self) -> bool {
        matches!(self.carries, LeasePurpose::Entries)
    }

    /// Moves the deadline to the one that a proven renewal has earned. False when the session has ended.
    pub(crate) fn extend(&self, sent: BootTime, ttl: Duration) -> bool {
        let to = self.terms.deadline(sent, ttl);
        self.deadline.extend(to, self.clock.now())
    }

    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Time left until the lease can end on the server, as far as it is proven.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.at().since(self.clock.now())
    }

    /// Ends the session on this side. The lease may live on in the store.
    pub(crate) fn end(&self, reason: EndReason) {
        self.deadline.end(reason, || self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise P1. Fails when the deadline counts from the receipt of the reply.
    #[test]
    fn the_deadline_counts_from_the_moment_the_renewal_was_sent() {
        let terms = LeaseTerms {
            ttl: Duration::from_secs(10),
            drift: 0.01,
        };
        let sent = BootTime::from_nanos(5_000_000_000);
        let deadline = terms.deadline(sent, Duration::from_secs(10));
        assert_eq!(deadline.since(sent), Duration::from_millis(9_900));
    }

    #[test]
    fn granted_ttl_counts_and_not_the_requested_one() {
        let terms = LeaseTerms {
            ttl: Duration::from_secs(10),
            drift: 0.0,
        };
        let sent = BootTime::from_nanos(0);
        let granted = Duration::from_secs(3);
        assert_eq!(terms.deadline(sent, granted).since(sent), granted);
    }

    /// Fails when a store that answers nonsense once keeps a guest running for ever.
    #[test]
    fn granted_ttl_above_the_requested_one_is_cut() {
        let terms = LeaseTerms {
            ttl: Duration::from_secs(10),
            drift: 0.0,
        };
        let sent = BootTime::from_nanos(0);
        for granted in [11, 1 << 40, u64::MAX] {
            let deadline = terms.deadline(sent, Duration::from_secs(granted));
            assert_eq!(deadline.since(sent), terms.ttl);
        }
    }
}
