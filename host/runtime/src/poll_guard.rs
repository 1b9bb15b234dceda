//! The poll guard: a guest is polled only if it may continue.
//!
//! A timer raced against the guest starves when other guests spin on the same workers; a check
//! before each poll does not. When the guard returns, the guest's future is dropped, which ends a
//! blocked host call. The guest must never be polled once the leash has a reason to stop it: see the test below.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::leash::{Leash, StopReason};

/// Drives `guest` for as long as the leash permits. The future is dropped before this returns.
///
/// `background` is the host's own background work for this guest. It is polled beside it and never ends the run.
pub(crate) async fn guarded<T>(
    leash: &Leash,
    background: impl Future<Output = ()>,
    guest: impl Future<Output = T>,
) -> Result<T, StopReason> {
    let mut guest = pin!(guest);
    let mut alarm = pin!(leash.wait());
    let mut background = pin!(async {
        background.await;
        std::future::pending::<()>().await;
    });
    poll_fn(move |cx| {
        if let Some(cause) = leash.stop_reason() {
            return Poll::Ready(Err(cause));
        }
        // Polled for its wake-up. It may be late; the check above is not.
        if let Poll::Ready(cause) = alarm.as_mut().poll(cx) {
            return Poll::Ready(Err(cause));
        }
        let _ = background.as_mut().poll(cx);
        guest.as_mut().poll(cx).map(Ok)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use leasehold_lock::{BootTime, Clock, ManualClock, Tenure};

    use super::*;
    use crate::spec::StopSignal;

    /// Promise P2. Fails if the guard races a timer instead of checking before the poll.
    /// Fails on the mutant "the poll guard does not ask", see scripts/mutants.
    #[tokio::test]
    async fn guest_frozen_past_its_deadline_is_not_polled_again() {
        let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1)));
        let tenure = Tenure::detached(clock.clone(), clock.now().after(Duration::from_hours(1)));
        let leash = Leash::new(tenure, None, StopSignal::new(Duration::ZERO));
        let polls = AtomicU32::new(0);
        let guest = poll_fn(|cx| {
            if polls.fetch_add(1, Ordering::SeqCst) > 0 {
                return Poll::Ready(());
            }
            clock.advance(Duration::from_hours(1));
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let end = guarded(&leash, std::future::pending(), guest).await;
        assert_eq!(end, Err(StopReason::Lost));
        assert_eq!(polls.load(Ordering::SeqCst), 1);
    }
}
