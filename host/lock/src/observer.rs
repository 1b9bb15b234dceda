//! [`LockObserver`]: calls at the events of a client that metrics count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leasehold_ids::{LeaseId, Token};

use crate::end_reason::EndReason;
use crate::error::StoreError;

/// A long-lived stream to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Renewals of one lease.
    Renewals,
    /// All watches of the client.
    Watches,
}

/// Receiver of a client's events, for metrics and logs. Every method is empty by default.
///
/// The client calls it on its own threads, in the middle of a renewal or a hand-off. An implementation must return at
/// once: it may count and send to a bounded channel, and must never block, lock for long or call the client.
pub trait LockObserver: Send + Sync + 'static {
    /// A renewal of `lease` was sent.
    fn renewal_sent(&self, lease: LeaseId) {
        let _ = lease;
    }

    /// A renewal of `lease` was confirmed, `took` after its sending, and has moved the deadline.
    fn renewal_confirmed(&self, lease: LeaseId, took: Duration) {
        let _ = (lease, took);
    }

    /// A renewal of `lease` has had no reply for `waited`. Called once per half of the renewal interval until one
    /// arrives.
    fn renewal_late(&self, lease: LeaseId, waited: Duration) {
        let _ = (lease, waited);
    }

    /// A request failed with `cause` and will be sent again.
    fn request_retried(&self, cause: &StoreError) {
        let _ = cause;
    }

    /// A stream broke and will be opened again.
    fn stream_broken(&self, kind: StreamKind, cause: &str) {
        let _ = (kind, cause);
    }

    /// The client moved to another endpoint because the previous one did not answer.
    fn endpoint_changed(&self, previous: &str, current: &str) {
        let _ = (previous, current);
    }

    /// `lock` was acquired with `token`, after waiting for `waited`.
    fn lock_acquired(&self, lock: &str, token: Token, waited: Duration) {
        let _ = (lock, token, waited);
    }

    /// `lock` was lost: the tenure of `token` ended without being released. Called once per grant, when the end is
    /// first noticed; at the latest when the grant is dropped.
    fn lock_lost(&self, lock: &str, token: Token, reason: &EndReason) {
        let _ = (lock, token, reason);
    }

    /// The session of `lease` ended without being released. The locks on it are lost.
    fn session_lost(&self, lease: LeaseId, reason: &EndReason) {
        let _ = (lease, reason);
    }
}

/// The observer of a client, if it has one.
#[derive(Clone, Default)]
pub(crate) struct ObserverHandle(Option<Arc<dyn LockObserver>>);

impl ObserverHandle {
    pub(crate) const fn new(observer: Arc<dyn LockObserver>) -> Self {
        Self(Some(observer))
    }

    /// Calls the observer, if there is one.
    pub(crate) fn notify(&self, call: impl FnOnce(&dyn LockObserver)) {
        if let Some(observer) = &self.0 {
            call(observer.as_ref());
        }
    }
}

impl fmt::Debug for ObserverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObserverHandle")
            .field(&self.0.is_some())
            .finish()
    }
}

/// The report of one lock's loss, sent at most once.
#[derive(Debug)]
pub(crate) struct LossReport {
    observer: ObserverHandle,
    lock: String,
    token: Token,
    is_sent: AtomicBool,
}

impl LossReport {
    pub(crate) const fn new(observer: ObserverHandle, lock: String, token: Token) -> Self {
        Self {
            observer,
            lock,
            token,
            is_sent: AtomicBool::new(false),
        }
    }

    /// Reports the loss, unless the lock was released or the loss was reported before.
    pub(crate) fn send(&self, reason: &EndReason) {
        if *reason != EndReason::Released && !self.is_sent.swap(true, Ordering::AcqRel) {
            self.observer
                .notify(|observer| observer.lock_lost(&self.lock, self.token, reason));
        }
    }
}

/// An observer that records the names of its calls.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct RecordingObserver(std::sync::Mutex<Vec<String>>);

#[cfg(test)]
impl RecordingObserver {
    /// A recorder, and the handle that calls it.
    pub(crate) fn new() -> (Arc<Self>, ObserverHandle) {
        let recorder = Arc::new(Self::default());
        (recorder.clone(), ObserverHandle::new(recorder))
    }

    /// The calls since the last time, in order.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn record(&self, call: String) {
        self.0.lock().unwrap().push(call);
    }
}

#[cfg(test)]
impl LockObserver for RecordingObserver {
    fn renewal_sent(&self, lease: LeaseId) {
        self.record(format!("renewal_sent {lease}"));
    }

    fn renewal_confirmed(&self, lease: LeaseId, took: Duration) {
        self.record(format!("renewal_confirmed {lease} {took:?}"));
    }

    fn renewal_late(&self, lease: LeaseId, _: Duration) {
        self.record(format!("renewal_late {lease}"));
    }

    fn request_retried(&self, cause: &StoreError) {
        self.record(format!("request_retried {cause}"));
    }

    fn stream_broken(&self, kind: StreamKind, _: &str) {
        self.record(format!("stream_broken {kind:?}"));
    }

    fn endpoint_changed(&self, previous: &str, current: &str) {
        self.record(format!("endpoint_changed {previous} {current}"));
    }

    fn lock_acquired(&self, lock: &str, token: Token, _: Duration) {
        self.record(format!("lock_acquired {lock} {token}"));
    }

    fn lock_lost(&self, lock: &str, token: Token, reason: &EndReason) {
        self.record(format!("lock_lost {lock} {token} {reason}"));
    }

    fn session_lost(&self, lease: LeaseId, reason: &EndReason) {
        self.record(format!("session_lost {lease} {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An observer that overrides nothing.
    struct Silent;

    impl LockObserver for Silent {}

    #[test]
    fn absent_or_empty_observer_takes_every_call() {
        for handle in [
            ObserverHandle::default(),
            ObserverHandle::new(Arc::new(Silent)),
        ] {
            handle.notify(|observer| {
                observer.renewal_sent(LeaseId::NONE);
                observer.renewal_confirmed(LeaseId::NONE, Duration::ZERO);
                observer.renewal_late(LeaseId::NONE, Duration::ZERO);
                observer.request_retried(&StoreError::Unknown(String::new()));
                observer.stream_broken(StreamKind::Watches, "");
                observer.endpoint_changed("a", "b");
                observer.lock_acquired("l", Token::default(), Duration::ZERO);
                observer.lock_lost("l", Token::default(), &EndReason::LeaseEnded);
                observer.session_lost(LeaseId::NONE, &EndReason::LeaseEnded);
            });
        }
    }

    #[test]
    fn loss_is_reported_once_and_a_release_never() {
        let (recorder, observer) = RecordingObserver::new();
        let report = LossReport::new(observer, "/l".into(), Token::new(7));
        report.send(&EndReason::Released);
        assert!(recorder.take().is_empty());
        report.send(&EndReason::TokenStale);
        report.send(&EndReason::LeaseEnded);
        assert_eq!(
            recorder.take(),
            ["lock_lost /l 7 the store no longer accepts our fencing token"]
        );
    }
}
