//! Identity of the store: its cluster, and the revisions that its replies have shown.
//!
//! # Guarantees
//!
//! - A linearizable reply below a revision that was seen *before its request was sent* proves that the store went
//!   back: restored from an older copy, wiped, or it forgot acknowledged writes. Every session of the client ends at
//!   once, before the reply is returned.
//! - [`StoreIdentity::highest`] never falls: tokens at or below it may have been given out already.
//!
//! # Assumptions
//!
//! Replies come from one store whose revision never falls. A reply of a member that lags behind may show an
//! older revision, so only linearizable replies are judged.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use etcd_client::ResponseHeader;
use leasehold_ids::Revision;

use crate::clock::Clock;
use crate::end_reason::EndReason;
use crate::tenure::SessionDeadline;

/// The store behind one client, as its replies have shown it.
#[derive(Default)]
pub(crate) struct StoreIdentity {
    /// The cluster's id, 0 until a reply has shown it.
    cluster: AtomicU64,
    /// The highest revision seen since the store last went back.
    seen: AtomicI64,
    /// The highest revision ever seen.
    highest: AtomicI64,
    /// The number of times that the store went back.
    epoch: AtomicU64,
    /// Deadlines of the sessions that end when the store goes back.
    sessions: Mutex<Vec<GuardedSession>>,
}

struct GuardedSession {
    deadline: Weak<SessionDeadline>,
    clock: Arc<dyn Clock>,
}

/// Knowledge of the store at the moment a request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenRevision {
    revision: Revision,
    epoch: u64,
}

impl StoreIdentity {
    /// The highest revision that any reply has shown. Acquired tokens must lie above it.
    pub(crate) fn highest(&self) -> Revision {
        Revision::new(self.highest.load(Ordering::Acquire))
    }

    /// The highest revision shown since the store last went back.
    pub(crate) fn seen(&self) -> Revision {
        Revision::new(self.seen.load(Ordering::Acquire))
    }

    /// Records the current knowledge, for judging the reply to a request that is about to be sent.
    pub(crate) fn before_sending(&self) -> SeenRevision {
        // The epoch first: a revision of a later epoch makes the judgement weaker, never wrong.
        let epoch = self.epoch.load(Ordering::Acquire);
        SeenRevision {
            revision: self.seen(),
            epoch,
        }
    }

    /// Remembers the first cluster, and the revision of every reply from it. False for a reply of another cluster.
    pub(crate) fn is_same_cluster(&self, header: Option<&ResponseHeader>) -> bool {
        let Some(header) = header.filter(|header| header.cluster_id() != 0) else {
            return true;
        };
        let id = header.cluster_id();
        let known = self
            .cluster
            .compare_exchange(0, id, Ordering::AcqRel, Ordering::Acquire);
        let is_ours = known.is_ok() || known == Err(id);
        if is_ours {
            self.seen.fetch_max(header.revision(), Ordering::AcqRel);
            self.highest.fetch_max(header.revision(), Ordering::AcqRel);
        }
        is_ours
    }

    /// Judges a linearizable reply at `revision` to a request sent when `before` was known. Ends every session
    /// when the reply proves that the store went back.
    pub(crate) fn judge(&self, revision: Revision, before: SeenRevision) {
        if revision >= before.revision {
            return;
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        // Several replies may show the same return; the first of them starts the new epoch.
        if self.epoch.load(Ordering::Acquire) != before.epoch {
            return;
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.seen.store(revision.get(), Ordering::Release);
        let detail = format!(
            "it went back from revision {} to {revision} (restored from an older copy, or wiped)",
            before.revision
        );
        tracing::error!(
            from = before.revision.get(),
            to = revision.get(),
            "the store went back"
        );
        for session in sessions.drain(..) {
            if let Some(deadline) = session.deadline.upgrade() {
                let detail = detail.clone();
                deadline.end(EndReason::StoreChanged { detail }, || session.clock.now());
            }
        }
    }

    /// Ends `deadline` when the store goes back after `before` was recorded, at once if it has.
    pub(crate) fn register(
        &self,
        deadline: &Arc<SessionDeadline>,
        clock: &Arc<dyn Clock>,
        before: SeenRevision,
    ) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if self.epoch.load(Ordering::Acquire) != before.epoch {
            let detail = "it went back while the session was opened".to_owned();
            deadline.end(EndReason::StoreChanged { detail }, || clock.now());
            return;
        }
        sessions.retain(|session| session.deadline.strong_count() > 0);
        sessions.push(GuardedSession {
            deadline: Arc::downgrade(deadline),
            clock: clock.clone(),
        });
    }

    pub(crate) fn cluster(&self) -> u64 {
        self.cluster.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for StoreIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("cluster", &self.cluster)
            .field("seen", &self.seen)
            .field("highest", &self.highest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootTime, ManualClock};

    fn session(identity: &StoreIdentity) -> Arc<SessionDeadline> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let deadline = SessionDeadline::new(BootTime::from_nanos(u64::MAX));
        identity.register(&deadline, &clock, identity.before_sending());
        deadline
    }

    fn see(identity: &StoreIdentity, revision: Revision) {
        identity.seen.fetch_max(revision.get(), Ordering::AcqRel);
        identity.highest.fetch_max(revision.get(), Ordering::AcqRel);
    }

    /// Promise P1. Fails when a reply below the seen revision is taken as merely late.
    #[test]
    fn a_reply_below_what_was_seen_before_ends_every_session() {
        let identity = StoreIdentity::default();
        see(&identity, Revision::new(50));
        let (first, second) = (session(&identity), session(&identity));
        let before = identity.before_sending();
        identity.judge(Revision::new(49), before);
        for deadline in [first, second] {
            assert!(
                matches!(deadline.ended(), Some(EndReason::StoreChanged { .. })),
                "{deadline:?}"
            );
        }
        assert_eq!(
            identity.highest(),
            Revision::new(50),
            "tokens up to it were given out"
        );
    }

    #[test]
    fn a_reply_that_was_overtaken_by_others_proves_nothing() {
        let identity = StoreIdentity::default();
        see(&identity, Revision::new(50));
        let deadline = session(&identity);
        let before = identity.before_sending();
        see(&identity, Revision::new(80));
        identity.judge(Revision::new(50), before);
        assert!(deadline.ended().is_none());
    }

    #[test]
    fn a_store_that_went_back_is_used_again_by_new_sessions() {
        let identity = StoreIdentity::default();
        see(&identity, Revision::new(50));
        let (earlier, another) = (identity.before_sending(), identity.before_sending());
        identity.judge(Revision::new(20), earlier);
        let deadline = session(&identity);
        identity.judge(Revision::new(20), another);
        identity.judge(Revision::new(21), identity.before_sending());
        assert!(deadline.ended().is_none(), "both replies showed one return");
    }

    #[test]
    fn a_session_opened_while_the_store_went_back_is_over() {
        let identity = StoreIdentity::default();
        see(&identity, Revision::new(50));
        let before = identity.before_sending();
        identity.judge(Revision::new(20), before);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let deadline = SessionDeadline::new(BootTime::from_nanos(u64::MAX));
        identity.register(&deadline, &clock, before);
        assert!(deadline.ended().is_some());
    }
}
