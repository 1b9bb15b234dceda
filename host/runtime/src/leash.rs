//! The leash: every reason to end a run from outside, as one check and one future.
//!
//! The check runs before every poll of the guest and at every tick inside it. The future wakes the
//! poll guard when the guest is blocked. Tenure, timeout and grace are read from the clock, never
//! from a flag that another thread might set late.

use std::sync::OnceLock;
use std::time::Duration;

use leasehold_lock::{BootTime, Tenure};

use super::spec::StopSignal;

/// Reason to end a run from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The tenure ended.
    Lost,
    /// The run's own timeout passed.
    TimedOut,
    /// Aborted, or the grace period after a stop request ended.
    Stopped,
}

/// Private error that ends a host call which works in pieces.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the run was ended in the middle of a host call")]
pub(crate) struct RunStopped(pub(crate) StopReason);

/// The leash of one run.
#[derive(Debug)]
pub(crate) struct Leash {
    tenure: Tenure,
    timeout_at: Option<BootTime>,
    stop: StopSignal,
    grace_over_at: OnceLock<BootTime>,
}

impl Leash {
    pub(crate) fn new(tenure: Tenure, timeout: Option<Duration>, stop: StopSignal) -> Self {
        let now = tenure.clock().now();
        Self {
            timeout_at: timeout.map(|timeout| now.after(timeout)),
            tenure,
            stop,
            grace_over_at: OnceLock::new(),
        }
    }

    /// Returns the reason why the run must end now, or `None` if it may continue.
    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        if !self.tenure.admits() {
            return Some(StopReason::Lost);
        }
        if self.stop.abort.is_cancelled() {
            return Some(StopReason::Stopped);
        }
        let now = self.now();
        if self.stop.requested.is_cancelled() && now >= self.grace_over_at() {
            return Some(StopReason::Stopped);
        }
        self.timeout_at
            .is_some_and(|at| now >= at)
            .then_some(StopReason::TimedOut)
    }

    /// Checks the leash like [`Leash::stop_reason`], for host calls that work in pieces and check before each piece.
    pub(crate) fn holds(&self) -> Result<(), RunStopped> {
        self.stop_reason()
            .map_or(Ok(()), |cause| Err(RunStopped(cause)))
    }

    /// Resolves when the run must end. It may be late; [`Leash::stop_reason`] is never late.
    pub(crate) async fn wait(&self) -> StopReason {
        loop {
            if let Some(cause) = self.stop_reason() {
                return cause;
            }
            tokio::select! {
                _ = self.tenure.ended() => {}
                () = self.stop.abort.cancelled() => {}
                () = self.grace_over() => {}
                () = self.timed_out() => {}
            }
        }
    }

    fn now(&self) -> BootTime {
        self.tenure.clock().now()
    }

    fn grace_over_at(&self) -> BootTime {
        *self
            .grace_over_at
            .get_or_init(|| self.now().after(self.stop.grace))
    }

    async fn grace_over(&self) {
        self.stop.requested.cancelled().await;
        self.sleep_until(self.grace_over_at()).await;
    }

    async fn timed_out(&self) {
        match self.timeout_at {
            Some(at) => self.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Sleeps in timer steps until the clock reaches `at`.
    async fn sleep_until(&self, at: BootTime) {
        while self.now() < at {
            tokio::time::sleep(at.since(self.now())).await;
        }
    }
}
