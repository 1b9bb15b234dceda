//! Tenure: the answer to "may this run still act?", readable from any thread at any time.
//!
//! # Guarantees
//!
//! - [`Tenure::admits`] is false from the deadline on, whatever threads or timers are doing: it
//!   reads the clock itself. A process that was frozen past its deadline gets `false` first.
//! - Once ended, a tenure never admits again: a renewal that arrives later revives nothing.
//! - The first reason stays, and is the one in the run's record.
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
use crate::end_reason::EndReason;
use crate::observer::LossReport;

/// The deadline of one session, shared by every tenure on it.
///
/// An ended deadline is at [`BootTime::BOOT`], so one load shows both.
#[derive(Debug)]
pub(crate) struct SessionDeadline {
    at: AtomicU64,
    /// The last value of `at` before the end, for reports.
    last: AtomicU64,
    /// The last confirmation of a renewal, for reports; 0 before the first.
    renewed: AtomicU64,
    ended: EndCell,
    end_signal: CancellationToken,
}

/// The end of a tenure or a session: its reason and its moment.
///
/// The moment is read *after* the reason is in place: every admitted effect was admitted before it.
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

    /// Moves the deadline forward. Refused, and the session ended, when it has already passed: an effect that was not
    /// admitted once must not be admitted later.
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
        // The reason first: a reader that sees the end must find its reason.
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
    /// The time that a stop may take. This tenure ends this long before the session.
    margin: Duration,
    ended: EndCell,
    end_signal: CancellationToken,
    /// The report of a loss to the observer of the client, where it has one.
    loss: OnceLock<LossReport>,
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
            loss: OnceLock::new(),
        }))
    }

    /// Sends `report` when the tenure ends without being released.
    pub(crate) fn report_loss_with(&self, report: LossReport) {
        let _ = self.0.loss.set(report);
        self.report_loss();
    }

    /// Reports the loss of the lock if the tenure, or its session, has ended and was not released.
    pub(crate) fn report_loss(&self) {
        if let (Some(report), Some(reason)) = (self.0.loss.get(), self.first_end().reason.get()) {
            report.send(reason);
        }
    }

    /// A tenure with a fixed deadline and no session, for tests of code that takes one.
    ///
    /// It is not a [`Grant`](crate::Grant) and cannot be made into one.
    pub fn detached(clock: Arc<dyn Clock>, deadline: BootTime) -> Self {
        Self::new(clock, SessionDeadline::new(deadline), Duration::ZERO)
    }

    /// True if an effect may begin now. One clock read and two loads; never blocks.
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
        // Recorded, so that a renewal in flight cannot revive this tenure.
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

    /// The deadline, or the last one before the session ended. For reports: a tenure that was ended early no longer
    /// admits, whatever this shows.
    pub fn last_deadline(&self) -> BootTime {
        self.0.deadline.last().before(self.0.margin)
    }

    /// The last confirmation of a renewal of the lease; nothing before the first. For reports.
    pub fn last_renewal(&self) -> Option<BootTime> {
        let renewed = self.0.deadline.renewed.load(Ordering::Acquire);
        (renewed > 0).then(|| BootTime::from_nanos(renewed))
    }

    /// Time left until the current deadline; zero when ended.
    pub fn remaining(&self) -> Duration {
        self.deadline().since(self.0.clock.now())
    }

    /// The clock that this tenure is judged by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The reason of the end, once it has ended.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.first_end().reason.get().cloned()
    }

    /// The moment of the end, once it has ended: the moment the loss was known, or the deadline that passed.
    pub fn ended_at(&self) -> Option<BootTime> {
        let end = self.first_end();
        end.reason.get()?;
        // The thread that ended it may not have read the clock yet; any moment after the reason is right.
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
        self.report_loss();
    }

    /// Resolves when the tenure has ended, with the reason.
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
