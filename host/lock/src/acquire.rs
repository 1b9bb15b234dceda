//! Acquisition: from a request to a [`Grant`], or to the error that refuses it.
//!
//! # Expected flow
//!
//! ```text
//! slot ─▶ enqueue ─▶ first? ──yes──▶ Grant
//!            ▲         │ no
//!            │         ├─ short queue: follow the lock's watch until first
//!            │         └─ long queue: follow the entry ahead of ours
//!            └── unknown outcome: send again (the entry is made at most once)
//! ```
//!
//! # Guarantees
//!
//! - A grant is given only on proof, at one store revision, that our entry existed and was the first of the queue,
//!   and only while our session admits.
//! - First come, first served, by create revision, together with every client that follows etcd's convention (Go's
//!   `concurrency.Mutex`, `etcdctl lock`).
//! - Dropping the future, or failing, leaves no entry behind: a clean-up continues until the store has confirmed the
//!   deletion or the lease has ended.

use crate::acquire::attempt::AcquireAttempt;
use crate::error::AcquireError;
use crate::grant::Grant;
use crate::locks::Locks;

mod arrival;
mod attempt;
mod request;

pub use request::{Acquire, LockPlace, LockWait};

impl Locks {
    /// Acquires a lock.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`]. In every case nothing of ours stays in the queue.
    pub async fn acquire(&self, request: Acquire) -> Result<Grant, AcquireError> {
        self.acquire_reporting(request, |_| {}).await
    }

    /// Acquires a lock, and calls `report` at each change of our place in the queue.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`]. In every case nothing of ours stays in the queue.
    pub async fn acquire_reporting(
        &self,
        request: Acquire,
        report: impl FnMut(LockPlace) + Send,
    ) -> Result<Grant, AcquireError> {
        request.check()?;
        if self.0.is_closed() {
            return Err(AcquireError::Closed);
        }
        let attempt = AcquireAttempt::new(self.0.clone(), request).await?;
        attempt.run(report).await
    }
}
