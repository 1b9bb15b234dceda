//! The gate, which checks the tenure at every entry of a guest into the host.
//!
//! It is in the store's call hook, so no import, WASI included, can be linked around it. A process
//! that was frozen past its deadline is refused on its first call after the thaw, because the
//! tenure reads the clock itself. The gate caches no answer.
//!
//! The hook also runs for operations of the engine that leave guest code (growing a memory, the
//! yield of a tick). Those are refused in the same way but are not host calls. Admitted calls are
//! counted by [`Gate::called`], which runs where a host function borrows its state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leasehold_lock::{BootTime, Clock, Tenure};

/// Private error that ends a refused guest.
#[derive(Debug, thiserror::Error)]
#[error("the tenure has ended: the host call was refused")]
pub(crate) struct CallRefused;

/// Gate of one run: refuses and counts. One thread at a time writes it, and it is read after the run.
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

    /// Admits an entry of the guest into the host, or refuses it.
    pub(crate) fn enter(&self) -> Result<(), CallRefused> {
        // Read before the tenure reads the clock: the recorded time is before the time of the check.
        let now = self.clock.now();
        if !self.tenure.admits() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(CallRefused);
        }
        self.entered_at.store(now.as_nanos(), Ordering::Relaxed);
        Ok(())
    }

    /// Admits a return into the guest, or refuses it: an await may have outlasted the tenure.
    pub(crate) fn leave(&self) -> Result<(), CallRefused> {
        if self.tenure.admits() {
            Ok(())
        } else {
            Err(CallRefused)
        }
    }

    /// Counts the entry just admitted as a call of a host function.
    pub(crate) fn called(&self) {
        let at = self.entered_at.load(Ordering::Relaxed);
        if self.admitted.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first_admitted.store(at, Ordering::Relaxed);
        }
        self.last_admitted.store(at, Ordering::Relaxed);
    }

    /// Checks the tenure again in the middle of a host call, before and after an await.
    pub(crate) fn still(&self) -> Result<(), CallRefused> {
        self.leave()
    }

    /// Returns the time at which the current call was admitted.
    pub(crate) fn entered_at(&self) -> BootTime {
        BootTime::from_nanos(self.entered_at.load(Ordering::Relaxed))
    }

    pub(crate) fn first_admitted(&self) -> Option<BootTime> {
        moment(&self.first_admitted)
    }

    pub(crate) fn last_admitted(&self) -> Option<BootTime> {
        moment(&self.last_admitted)
    }

    /// Returns the last deadline of the tenure. It is read from the tenure, because the gate is not
    /// called while a guest is blocked in a host call.
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

/// Converts a recorded time; zero stands for none.
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
    fn last_admitted_call_lies_before_the_deadline() {
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
