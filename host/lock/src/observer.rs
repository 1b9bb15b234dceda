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

/// Result of one request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestResult {
    /// The store did what was requested.
    Answered,
    /// The store refused; nothing was changed.
    Refused,
    /// No usable answer arrived: the request may have been carried out.
    Unanswered,
}

impl RequestResult {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Answered, Self::Refused, Self::Unanswered];

    /// Returns the result's word, for labels of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }

    pub(crate) const fn of<T>(reply: &Result<T, StoreError>) -> Self {
        match reply {
            Ok(_) => Self::Answered,
            Err(StoreError::Refused { .. }) => Self::Refused,
            Err(StoreError::Unknown(_) | StoreError::TooLarge(_)) => Self::Unanswered,
        }
    }
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

    /// A renewal of `lease` was confirmed when this much time was left until its deadline. The tenures of locks end
    /// earlier than that, by their stop margin.
    fn deadline_moved(&self, lease: LeaseId, left: Duration) {
        let _ = (lease, left);
    }

    /// A renewal of `lease` has had no reply for `waited`. Called once per half of the renewal interval until one
    /// arrives.
    fn renewal_late(&self, lease: LeaseId, waited: Duration) {
        let _ = (lease, waited);
    }

    /// `lease` is renewed no more: it was given back, it was lost, or the client closes.
    fn lease_ended(&self, lease: LeaseId) {
        let _ = lease;
    }

    /// A request ended with `result`, `took` after its sending. Streams are not counted, nor are the reads that prove
    /// renewals.
    fn request_ended(&self, result: RequestResult, took: Duration) {
        let _ = (result, took);
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

    /// `lock` passed on to this client, which had waited in its queue: `took` is the time from the news that the way is
    /// free to the grant of `token`.
    fn lock_handed_over(&self, lock: &str, token: Token, took: Duration) {
        let _ = (lock, token, took);
    }

    /// `lock` was lost: the tenure of `token` ended without being released. Called once per lock of a grant, when
    /// the end is first noticed; at the latest when the grant is dropped.
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

/// The report of the loss of one grant's locks, sent at most once.
#[derive(Debug)]
pub(crate) struct LossReport {
    observer: ObserverHandle,
    locks: Vec<String>,
    token: Token,
    is_sent: AtomicBool,
}

impl LossReport {
    pub(crate) const fn new(observer: ObserverHandle, locks: Vec<String>, token: Token) -> Self {
        Self {
            observer,
            locks,
            token,
            is_sent: AtomicBool::new(false),
        }
    }

    /// Reports the loss, unless the locks were released or the loss was reported before.
    pub(crate) fn send(&self, reason: &EndReason) {
        if *reason != EndReason::Released && !self.is_sent.swap(true, Ordering::AcqRel) {
            for lock in &self.locks {
                self.observer
                    .notify(|observer| observer.lock_lost(lock, self.token, reason));
            }
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

    fn deadline_moved(&self, lease: LeaseId, left: Duration) {
        self.record(format!("deadline_moved {lease} {left:?}"));
    }

    fn renewal_late(&self, lease: LeaseId, _: Duration) {
        self.record(format!("renewal_late {lease}"));
    }

    fn lease_ended(&self, lease: LeaseId) {
        self.record(format!("lease_ended {lease}"));
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
                observer.deadline_moved(LeaseId::NONE, Duration::ZERO);
                observer.renewal_late(LeaseId::NONE, Duration::ZERO);
                observer.lease_ended(LeaseId::NONE);
                observer.request_ended(RequestResult::Answered, Duration::ZERO);
                observer.request_retried(&StoreError::Unknown(String::new()));
                observer.stream_broken(StreamKind::Watches, "");
                observer.endpoint_changed("a", "b");
                observer.lock_acquired("l", Token::default(), Duration::ZERO);
                observer.lock_handed_over("l", Token::default(), Duration::ZERO);
                observer.lock_lost("l", Token::default(), &EndReason::LeaseEnded);
                observer.session_lost(LeaseId::NONE, &EndReason::LeaseEnded);
            });
        }
    }

    #[test]
    fn loss_is_reported_once_and_a_release_never() {
        let (recorder, observer) = RecordingObserver::new();
        let report = LossReport::new(observer, vec!["/l".into(), "/m".into()], Token::new(7));
        report.send(&EndReason::Released);
        assert!(recorder.take().is_empty());
        report.send(&EndReason::TokenStale);
        report.send(&EndReason::LeaseEnded);
        assert_eq!(
            recorder.take(),
            [
                "lock_lost /l 7 the store no longer accepts our fencing token",
                "lock_lost /m 7 the store no longer accepts our fencing token"
            ]
        );
    }
}
