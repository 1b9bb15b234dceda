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

use super::call_timer::{CallTimer, RequestTimer};
use super::run_trace::CallObserver;

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
    timer: Option<CallTimer>,
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
            timer: None,
        }
    }

    /// Takes the time of calls for this observer.
    pub(crate) fn observed(mut self, calls: Option<Arc<dyn CallObserver>>) -> Self {
        self.timer = calls.map(CallTimer::new);
        self
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
        if let Some(timer) = &self.timer {
            timer.enter();
        }
        Ok(())
    }

    /// Admits a return into the guest, or refuses it: an await may have outlasted the tenure.
    pub(crate) fn leave(&self) -> Result<(), CallRefused> {
        if self.timer.is_some() {
            self.end_call(self.clock.now());
        }
        self.still()
    }

    /// Checks the tenure again in the middle of a host call, before and after an await.
    pub(crate) fn still(&self) -> Result<(), CallRefused> {
        if self.tenure.admits() {
            Ok(())
        } else {
            Err(CallRefused)
        }
    }

    /// Reports the present call, if there is one, as ended at this moment.
    pub(crate) fn end_call(&self, ended: BootTime) {
        if let Some(timer) = &self.timer {
            timer.end(self.entered_at(), ended);
        }
    }

    /// Names the present call for its observer, if there is one.
    pub(crate) fn set_name(&self, name: &'static str) {
        if let Some(timer) = &self.timer {
            timer.set_name(name);
        }
    }

    /// Takes the time of a request with this name, until the result is dropped.
    pub(crate) fn time_request(&self, name: impl FnOnce() -> String) -> Option<RequestTimer> {
        let timer = self.timer.as_ref()?;
        Some(timer.start_request(&self.clock, name()))
    }

    /// Counts the entry just admitted as a call, with this name unless it has a more exact one.
    pub(crate) fn called(&self, name: &'static str) {
        if let Some(timer) = &self.timer {
            timer.set_default_name(name);
        }
        let at = self.entered_at.load(Ordering::Relaxed);
        if self.admitted.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first_admitted.store(at, Ordering::Relaxed);
        }
        self.last_admitted.store(at, Ordering::Relaxed);
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
        gate.called("log");
        clock.advance(Duration::from_secs(1));
        assert!(gate.leave().is_err());
        assert_eq!((gate.admitted(), gate.refused()), (1, 0));
    }

    #[test]
    fn last_admitted_call_lies_before_the_deadline() {
        let (clock, gate) = one_second();
        clock.advance(Duration::from_nanos(999_999_999));
        assert!(gate.enter().is_ok());
        gate.called("log");
        clock.advance(Duration::from_nanos(1));
        assert!(gate.enter().is_err());
        assert_eq!((gate.admitted(), gate.refused()), (1, 1));
        assert!(gate.last_admitted().is_some_and(|at| at < gate.deadline()));
    }
}
