//! The lock under which a run was started.
//!
//! No answer is cached: one that was true a moment ago may be wrong now.

use std::time::Duration;

use crate::error::GuardError;
use crate::host;
use crate::outcome::whole_millis;

/// The lock this run holds; see [`Context::lock`](crate::Context::lock).
#[derive(Debug, Clone, Copy)]
pub struct Lock {
    _only_within_a_run: (),
}

impl Lock {
    pub(crate) const fn of_this_run() -> Self {
        Self {
            _only_within_a_run: (),
        }
    }

    /// The lock's name, as in the job's configuration.
    pub fn name(self) -> String {
        host::lock_name()
    }

    /// The fencing token: constant while the lock is held, strictly increasing from one holder
    /// to the next. Send it with every effect outside the store.
    pub fn token(self) -> u64 {
        host::token()
    }

    /// The id of the lease that holds the lock, in lower-case hexadecimal.
    pub fn holder(self) -> String {
        host::holder()
    }

    /// False once the host has stopped trusting the lease. Answered by the host without a request to
    /// the store; [`check`](Self::check) makes that request.
    pub fn is_held(self) -> bool {
        host::is_held()
    }

    /// Time until this run is stopped unless the lease is renewed, to the millisecond; zero once
    /// the lock is not held.
    pub fn remaining(self) -> Duration {
        Duration::from_millis(host::remaining_ms())
    }

    /// Waits until the host asks this run to stop, at most `at_most`; true once it has asked.
    ///
    /// This is the right way to sleep in a job. [`Duration::ZERO`] returns at once. Rounded up to a
    /// millisecond; at most about 49 days at a time.
    pub fn stop_requested(self, at_most: Duration) -> bool {
        host::stop_requested(u32::try_from(whole_millis(at_most)).unwrap_or(u32::MAX))
    }

    /// Requests from the store whether the lock is still held; for the moment before an effect that
    /// cannot be undone.
    ///
    /// # Errors
    ///
    /// [`GuardError::Lost`] when it is not held; [`GuardError::Unavailable`] when that is not known,
    /// to be treated like `Lost`.
    pub fn check(self) -> Result<(), GuardError> {
        host::check()
    }
}
