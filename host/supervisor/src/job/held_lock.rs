//! A lock that a job holds.

use std::fmt;

use leasehold_lock::{BootTime, Grant, Token};

use super::context::JobContext;
use super::machine::MachineGrant;
use crate::event::EventKind;
use leasehold_records::whole_millis;

/// A grant and the runs under it. It moves between the machine and the pieces of work, and is never copied.
pub(crate) struct HeldLock {
    pub(crate) grant: Box<Grant>,
    /// Number of runs under the grant so far.
    pub(crate) sequence: u32,
    /// Time when the grant was acquired, until it has been logged.
    acquired: Option<BootTime>,
}

impl HeldLock {
    /// Takes a grant that was acquired at this moment and is not logged yet.
    pub(crate) fn new(grant: Grant, acquired: BootTime) -> Self {
        Self {
            grant: Box::new(grant),
            sequence: 0,
            acquired: Some(acquired),
        }
    }

    /// Returns the time when the grant was acquired, if that is not logged yet. The caller logs it.
    pub(crate) const fn take_acquired(&mut self) -> Option<BootTime> {
        self.acquired.take()
    }

    /// Logs when the lock was acquired, once. Work that is not a run calls this at its start.
    pub(crate) fn log_acquired(&mut self, context: &JobContext) {
        if let Some(at) = self.take_acquired() {
            log_acquired(context, &self.grant, at);
        }
    }
}

/// Logs when the lock was acquired.
pub(crate) fn log_acquired(context: &JobContext, grant: &Grant, at: BootTime) {
    let wait_ms = whole_millis(grant.waited());
    let about = context.event_context_for(grant.token());
    context
        .event_log
        .emit_at(at, about, EventKind::Acquired { wait_ms });
}

impl MachineGrant for HeldLock {
    fn token(&self) -> Token {
        self.grant.token()
    }
}

impl fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLock")
            .field("token", &self.grant.token())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
