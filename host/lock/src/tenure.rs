//! Tenure: the answer to "may this run still act?", readable from any thread at any time.
//!
//! # Guarantees
//!
//! - [`Tenure::admits`] is false from the deadline on, whatever threads or timers are doing: it
//!   reads the clock itself. A process that was frozen past its deadline gets `false` first.
//! - Once ended, a tenure never admits again: a renewal that arrives later revives nothing.
//! - The first reason stays. It is what the run's record will say.
//!
//! # Assumptions
//!
//! The clock's *rate* is within the declared drift of the server's. How the deadline itself is
//! computed is in the `session` module.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};

/// Why a tenure ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The holder gave the lock back.
    Released,
    /// No renewal was confirmed before the deadline.
    DeadlinePassed,
    /// The server answered that the lease no longer exists: it expired or was revoked.
    LeaseEnded,
    /// Our entry was deleted from the queue by somebody else.
    Removed {
        /// The revision at which it went.
        revision: i64,
    },
    /// Our key was deleted and created again by somebody else.
    Replaced {
        /// The create revision of the entry that now stands under our key.
        revision: i64,
    },
    /// The store refused our fencing token: our entry no longer stands.
    TokenStale,
    /// The store could not be asked for so long that ownership is no longer known.
    Unverified,
    /// The store is not the one the lock was acquired on (its cluster changed or its revision fell).
    StoreChanged {
        /// What was seen.
        detail: String,
    },
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("released"),
            Self::DeadlinePassed => f.write_str("the lease was not renewed before its deadline"),
            Self::LeaseEnded => f.write_str("the lease expired or was revoked on the server"),
            Self::Removed { revision } => {
                write!(f, "the lock entry was removed at revision {revision}")
            }
            Self::Replaced { revision } => write!(
                f,
                "the lock entry was replaced by another at revision {revision}"
            ),
            Self::TokenStale => f.write_str("the store no longer accepts our fencing token"),
            Self::Unverified => f.write_str("ownership could not be verified in time"),
            Self::StoreChanged { detail } => write!(f, "the store changed: {detail}"),
        }
    }
}

/// The deadline of one session, shared by every tenure that stands on it.
///
/// An ended deadline stands at [`BootTime::BOOT`], so one load tells both.
#[derive(Debug)]
pub(crate) struct SessionDeadline {
    at: AtomicU64,
    /// Where `at` last stood before the end, for reports.
    last: AtomicU64,
    /// When the last renewal was confirmed, for reports; 0 before the first.
    renewed: AtomicU64,
    ended: EndCell,
    end_signal: CancellationToken,
}

/// That something ended, why and when.
///
/// The moment is read *after* the reason is in place: whatever was admitted was admitted before it.
#[derive(Debug, Default)]
struct EndCell {
    reason: OnceLock<EndReason>,
    at: OnceLock<BootTime>,
}

impl EndCell {
    fn set(&self, reason: EndReason, at: impl FnOnce() -> BootTime) {
        if self.reason.set(reason).is_ok() {
            let _ = self.at.set(at());
        }
    }
}

impl SessionDeadline {
    pub(crate) fn new(at: BootTime) -> Arc<Self> {
        Arc::new(Self {
            at: AtomicU64::new(at.as_nanos()),
            last: AtomicU64::new(at.as_nanos()),
            renewed: AtomicU64::new(0),
            ended: EndCell::default(),
            end_signal: CancellationToken::new(),
        })
    }

    pub(crate) fn at(&self) -> BootTime {
        BootTime::from_nanos(self.at.load(Ordering::Acquire))
    }

    fn last(&self) -> BootTime {
        BootTime::from_nanos(self.last.load(Ordering::Acquire))
    }

    /// Moves the deadline forward. Refused, and the session ended, when it has already passed:
    /// what was once not admitted must not be admitted later.
    pub(crate) fn extend(&self, to: BootTime, now: BootTime) -> bool {
        let moved = self
            .at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |at| {
                (now.as_nanos() < at).then_some(at.max(to.as_nanos()))
            });
        match moved {
            Ok(_) => {
                self.last.fetch_max(to.as_nanos(), Ordering::AcqRel);
                self.renewed.fetch_max(now.as_nanos(), Ordering::AcqRel);
            }
            Err(passed) => self.end(EndReason::DeadlinePassed, || BootTime::from_nanos(passed)),
        }
        moved.is_ok()
    }

    pub(crate) fn end(&self, reason: EndReason, at: impl FnOnce() -> BootTime) {
        // The reason first: whoever sees the deadline gone must find out why.
        self.ended.set(reason, || {
            self.at.store(0, Ordering::Release);
            at()
        });
        self.at.store(0, Ordering::Release);
        self.end_signal.cancel();
    }

    pub(crate) fn ended(&self) -> Option<&EndReason> {
        self.ended.reason.get()
    }

    pub(crate) async fn signalled(&self) {
        self.end_signal.cancelled().await;
    }
}

/// The right to act under one grant. Clones are the same tenure.
#[derive(Clone)]
pub struct Tenure(Arc<TenureState>);

struct TenureState {
    clock: Arc<dyn Clock>,
    deadline: Arc<SessionDeadline>,
    /// How long before the session's end this tenure must be over: the time a stop may take.
    margin: Duration,
    ended: EndCell,
    end_signal: CancellationToken,
}

impl Tenure {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        deadline: Arc<SessionDeadline>,
        margin: Duration,
    ) -> Self {
        Self(Arc::new(TenureState {
            clock,
            deadline,
            margin,
            ended: EndCell::default(),
            end_signal: CancellationToken::new(),
        }))
    }

    /// A tenure that stands on nothing but a fixed deadline, for testing code that takes one.
    ///
    /// It is not a [`Grant`](crate::Grant) and cannot be made into one.
    pub fn detached(clock: Arc<dyn Clock>, deadline: BootTime) -> Self {
        Self::new(clock, SessionDeadline::new(deadline), Duration::ZERO)
    }

    /// Whether an effect may begin now. One clock read and two loads; never blocks.
    #[inline]
    pub fn admits(&self) -> bool {
        let now = self.0.clock.now();
        if self.0.ended.reason.get().is_some() {
            return false;
        }
        let deadline = self.0.deadline.at().before(self.0.margin);
        if now < deadline {
            return true;
        }
        // Make it stick, so that a renewal in flight cannot revive this tenure.
        let session = &self.0.deadline.ended;
        match session.reason.get() {
            Some(reason) => self.set(reason.clone(), || session.at.get().copied().unwrap_or(now)),
            None => self.set(EndReason::DeadlinePassed, || deadline),
        }
        false
    }

    /// The moment from which nothing is admitted, unless a renewal moves it. Boot when ended.
    pub fn deadline(&self) -> BootTime {
        if self.0.ended.reason.get().is_some() {
            BootTime::BOOT
        } else {
            self.0.deadline.at().before(self.0.margin)
        }
    }

    /// The deadline as it stands, or as it last stood before the session ended. For reports: a tenure
    /// that was ended early no longer admits, whatever this says.
    pub fn last_deadline(&self) -> BootTime {
        self.0.deadline.last().before(self.0.margin)
    }

    /// When the last renewal of the lease was confirmed; nothing before the first. For reports.
    pub fn last_renewal(&self) -> Option<BootTime> {
        let renewed = self.0.deadline.renewed.load(Ordering::Acquire);
        (renewed > 0).then(|| BootTime::from_nanos(renewed))
    }

    /// Time left until the deadline as it stands now; zero when ended.
    pub fn remaining(&self) -> Duration {
        self.deadline().since(self.0.clock.now())
    }

    /// The clock that this tenure is judged by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Why it ended, once it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.first_end().reason.get().cloned()
    }

    /// When it ended, once it has: the moment the loss was known, or the deadline that passed.
    pub fn ended_at(&self) -> Option<BootTime> {
        let end = self.first_end();
        end.reason.get()?;
        // Whoever ended it may not have come to read the clock yet; any moment after the reason will do.
        Some(*end.at.get_or_init(|| self.0.clock.now()))
    }

    fn first_end(&self) -> &EndCell {
        if self.0.ended.reason.get().is_some() {
            &self.0.ended
        } else {
            &self.0.deadline.ended
        }
    }

    /// Ends the tenure now. The first reason given stays.
    pub fn end(&self, reason: EndReason) {
        self.set(reason, || self.0.clock.now());
    }

    fn set(&self, reason: EndReason, at: impl FnOnce() -> BootTime) {
        self.0.ended.set(reason, at);
        self.0.end_signal.cancel();
    }

    /// Resolves when the tenure has ended, and says why.
    ///
    /// A sleeping future may be late; [`Tenure::admits`] never is.
    pub async fn ended(&self) -> EndReason {
        loop {
            if !self.admits() {
                return self.end_reason().unwrap_or(EndReason::DeadlinePassed);
            }
            tokio::select! {
                () = self.0.end_signal.cancelled() => {}
                () = self.0.deadline.signalled() => {}
                () = tokio::time::sleep(self.remaining()) => {}
            }
        }
    }
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenure")
            .field("deadline", &self.deadline())
            .field("ended", &self.end_reason())
            .finish()
    }
}

#[cfg(test)]
mod tests;
