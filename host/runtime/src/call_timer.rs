//! [`CallTimer`]: takes the time of a run's host calls, for its observer.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_lock::{BootTime, Clock};

use super::run_trace::{CallObserver, HostCall, SLOW_CALL};

/// Timer of one run. A guest is in one call at a time.
pub(crate) struct CallTimer {
    observer: Arc<dyn CallObserver>,
    /// Name of the present call. The engine's own operations, such as a growing memory, have none.
    name: Mutex<Option<&'static str>>,
}

impl CallTimer {
    pub(crate) const fn new(observer: Arc<dyn CallObserver>) -> Self {
        Self {
            observer,
            name: Mutex::new(None),
        }
    }

    /// Begins an entry into the host, which may become a call.
    pub(crate) fn enter(&self) {
        *self.name() = None;
    }

    /// Names the present call, unless it has a name.
    pub(crate) fn set_default_name(&self, name: &'static str) {
        self.name().get_or_insert(name);
    }

    /// Names the present call. A later name is more exact.
    pub(crate) fn set_name(&self, name: &'static str) {
        *self.name() = Some(name);
    }

    /// Ends the present call, if there is one, and reports it if it was slow.
    pub(crate) fn end(&self, started: BootTime, ended: BootTime) {
        let name = self.name().take();
        if let Some(name) = name {
            report(&*self.observer, started, ended, || name.into());
        }
    }

    /// Takes the time of a request, until the result is dropped.
    pub(crate) fn start_request(&self, clock: &Arc<dyn Clock>, name: String) -> RequestTimer {
        RequestTimer {
            observer: self.observer.clone(),
            clock: clock.clone(),
            name,
            started: clock.now(),
        }
    }

    fn name(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Timer of one request over HTTP. It reports when it is dropped, also by the end of the run.
pub(crate) struct RequestTimer {
    observer: Arc<dyn CallObserver>,
    clock: Arc<dyn Clock>,
    name: String,
    started: BootTime,
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        report(&*self.observer, self.started, self.clock.now(), || {
            name.into()
        });
    }
}

fn report(
    observer: &dyn CallObserver,
    started: BootTime,
    ended: BootTime,
    name: impl FnOnce() -> Cow<'static, str>,
) {
    if ended.since(started) >= SLOW_CALL {
        observer.call_ended(HostCall {
            name: name(),
            started,
            ended,
        });
    }
}
