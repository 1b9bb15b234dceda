//! The gate: every entry of a guest into the host asks the tenure first.
//!
//! It stands in the store's call hook, so no import, WASI included, can be linked around it. A
//! process that was frozen past its deadline is refused on its first call after the thaw, because
//! the tenure reads the clock itself. This file must never cache an answer.
//!
//! The hook also fires for operations of the engine that leave guest code (growing a memory, the
//! yield of a tick). Those are refused alike but are not host calls, so what counts as admitted is
//! told by [`Gate::called`], which stands where a host function borrows its state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leasehold_lock::{BootTime, Clock, Tenure};

/// The private error with which a refused guest is ended.
#[derive(Debug, thiserror::Error)]
#[error("the tenure has ended: the host call was refused")]
pub(crate) struct Refused;

/// Counts and refuses. One per run; written by one thread at a time, read when the run is over.
pub(crate) struct Gate {
    tenure: Tenure,
    clock: Arc<dyn Clock>,
    entered_at: AtomicU64,
    first_admitted: AtomicU64,
    last_admitted: AtomicU64,
    admitted: AtomicU64,
    refused: AtomicU64,
}

impl Gate {
    pub(crate) fn new(tenure: Tenure) -> Self {
        let clock = tenure.clock().clone();
        let now = clock.now().as_nanos();
        Self {
            tenure,
            clock,
            entered_at: AtomicU64::new(now),
            first_admitted: AtomicU64::new(0),
            last_admitted: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A guest enters the host.
    pub(crate) fn enter(&self) -> Result<(), Refused> {
        // Read before the tenure reads: what is recorded lies before what was admitted.
        let now = self.clock.now();
        if !self.tenure.admits() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refused);
        }
        self.entered_at.store(now.as_nanos(), Ordering::Relaxed);
        Ok(())
    }

    /// The host returns into the guest. An await may have outlasted the tenure.
    pub(crate) fn leave(&self) -> Result<(), Refused> {
        if self.tenure.admits() {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// A host function begins: the entry just admitted was a call.
    pub(crate) fn called(&self) {
        let at = self.entered_at.load(Ordering::Relaxed);
        if self.admitted.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first_admitted.store(at, Ordering::Relaxed);
        }
        self.last_admitted.store(at, Ordering::Relaxed);
    }

    /// Asks again in the middle of a host call, before and after something that awaits.
    pub(crate) fn still(&self) -> Result<(), Refused> {
        self.leave()
    }

    /// When the call that is going on was admitted.
    pub(crate) fn entered_at(&self) -> BootTime {
        BootTime::from_nanos(self.entered_at.load(Ordering::Relaxed))
    }

    pub(crate) fn first_admitted(&self) -> Option<BootTime> {
        moment(&self.first_admitted)
    }

    pub(crate) fn last_admitted(&self) -> Option<BootTime> {
        moment(&self.last_admitted)
    }

    /// The last deadline there was. Asked of the tenure, since a guest that is blocked in a call sees
    /// no renewal.
    pub(crate) fn deadline(&self) -> BootTime {
        self.tenure.last_deadline()
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A moment that may not have come yet.
fn moment(nanos: &AtomicU64) -> Option<BootTime> {
    let at = nanos.load(Ordering::Relaxed);
    (at != 0).then(|| BootTime::from_nanos(at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leasehold_lock::ManualClock;

    use super::*;

    fn one_second() -> (Arc<ManualClock>, Gate) {
        let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
        let end = clock.now().after(Duration::from_secs(1));
        let gate = Gate::new(Tenure::detached(clock.clone(), end));
        (clock, gate)
    }

    #[test]
    fn a_call_that_outlasts_the_tenure_is_refused_on_its_way_back() {
        let (clock, gate) = one_second();
        assert!(gate.enter().is_ok());
        gate.called();
        clock.advance(Duration::from_secs(1));
        assert!(gate.leave().is_err());
        assert_eq!((gate.admitted(), gate.refused()), (1, 0));
    }

    #[test]
    fn what_is_recorded_as_admitted_lies_before_the_recorded_deadline() {
        let (clock, gate) = one_second();
        clock.advance(Duration::from_nanos(999_999_999));
        assert!(gate.enter().is_ok());
        gate.called();
        clock.advance(Duration::from_nanos(1));
        assert!(gate.enter().is_err());
        assert_eq!((gate.admitted(), gate.refused()), (1, 1));
        assert!(gate.last_admitted().is_some_and(|at| at < gate.deadline()));
    }
}
