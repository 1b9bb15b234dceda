//! Requests in progress, each of which can be ended from outside, at once.
//!
//! They run as tasks of their own, which the run itself does not poll. A request is not polled after the
//! leash has a reason to stop it. At the end of the run its future is dropped in place, without waiting for a
//! scheduler. No request outlives its run.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use wasmtime_wasi_http::Error;

use super::super::leash::Leash;

type Inner<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Part of a request: sending it, or driving its connection.
pub(super) struct InFlight<T> {
    slot: Arc<Slot<T>>,
    leash: Arc<Leash>,
}

/// Holder of the future, until it is done or cut.
struct Slot<T>(Mutex<Option<Inner<T>>>);

/// Work that can be ended at once.
trait Cut: Send + Sync {
    fn cut(&self);
}

/// All requests in progress of one run.
#[derive(Default)]
pub(crate) struct InFlightRequests(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    in_flight: Vec<Weak<dyn Cut>>,
}

impl InFlightRequests {
    /// Ends all requests. When this returns, their connections are closed. Later requests never start.
    pub(crate) fn close(&self) {
        let in_flight = {
            let mut state = locked(&self.0);
            state.closed = true;
            std::mem::take(&mut state.in_flight)
        };
        // This waits for a request that is being polled at this moment. No poll blocks.
        for request in in_flight.iter().filter_map(Weak::upgrade) {
            request.cut();
        }
    }

    fn add(&self, request: Weak<dyn Cut>) -> bool {
        let mut state = locked(&self.0);
        if !state.closed {
            state.in_flight.retain(|request| request.strong_count() > 0);
            state.in_flight.push(request);
        }
        !state.closed
    }
}

impl<T: Send + 'static> InFlight<T> {
    pub(super) fn new(
        in_flight: &InFlightRequests,
        leash: Arc<Leash>,
        future: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Self {
        let slot = Arc::new(Slot(Mutex::new(Some(Box::pin(future) as Inner<T>))));
        let weak: Weak<dyn Cut> = Arc::<Slot<T>>::downgrade(&slot);
        if !in_flight.add(weak) {
            slot.cut();
        }
        Self { slot, leash }
    }
}

impl<T: Send + 'static> Cut for Slot<T> {
    fn cut(&self) {
        let inner = locked(&self.0).take();
        drop(inner);
    }
}

impl<T> Future for InFlight<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = locked(&self.slot.0);
        if self.leash.stop_reason().is_some() {
            *inner = None;
        }
        let Some(future) = inner.as_mut() else {
            return Poll::Ready(Err(Error::ConnectionTerminated));
        };
        let polled = future.as_mut().poll(cx);
        if polled.is_ready() {
            *inner = None;
        }
        polled
    }
}

/// Locks a mutex, also a poisoned one: a panic in a poll ends that request alone.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leasehold_lock::{BootTime, Clock, ManualClock, Tenure};

    use super::*;
    use crate::spec::StopSignal;

    fn leash() -> (Arc<ManualClock>, Arc<Leash>) {
        let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1)));
        let tenure = Tenure::detached(clock.clone(), clock.now().after(Duration::from_secs(1)));
        let leash = Leash::new(tenure, None, StopSignal::new(Duration::ZERO));
        (clock, Arc::new(leash))
    }

    /// Holds a reference count, which shows that the future is dropped.
    struct Held(Arc<()>);

    async fn held(held: Held) -> Result<(), Error> {
        std::future::pending::<()>().await;
        drop(held.0);
        Ok(())
    }

    #[test]
    fn closing_drops_requests_that_are_not_polled() {
        let (_, leash) = leash();
        let in_flight = InFlightRequests::default();
        let alive = Arc::new(());
        let request = InFlight::new(&in_flight, leash.clone(), held(Held(alive.clone())));
        assert_eq!(Arc::strong_count(&alive), 2);
        in_flight.close();
        assert_eq!(Arc::strong_count(&alive), 1);
        drop(request);
        let late = InFlight::new(&in_flight, leash, held(Held(alive.clone())));
        assert_eq!(Arc::strong_count(&alive), 1);
        drop(late);
    }

    #[tokio::test]
    async fn request_frozen_past_its_deadline_is_not_polled_again() {
        let (clock, leash) = leash();
        let in_flight = InFlightRequests::default();
        let clock_inside = clock.clone();
        let mut polls = 0;
        let future = std::future::poll_fn(move |cx| {
            polls += 1;
            assert_eq!(polls, 1, "polled after the deadline");
            clock_inside.advance(Duration::from_secs(1));
            cx.waker().wake_by_ref();
            Poll::<Result<(), Error>>::Pending
        });
        let end = InFlight::new(&in_flight, leash, future).await;
        assert!(matches!(end, Err(Error::ConnectionTerminated)));
    }
}
