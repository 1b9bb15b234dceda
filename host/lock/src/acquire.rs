//! Acquiring: from a request to a [`Grant`], or to a reason why not.
//!
//! # Expected flow
//!
//! ```text
//! slot ─▶ enqueue ─▶ first? ──yes──▶ Grant
//!            ▲         │ no
//!            │         ├─ short queue: follow the lock's watch until first
//!            │         └─ long queue: follow the entry ahead of ours
//!            └── unknown outcome: ask again (the entry is made at most once)
//! ```
//!
//! # Guarantees
//!
//! - A grant is given only on proof, at one store revision, that our entry existed and nobody was
//!   ahead of it, and only while our session admits.
//! - First come, first served, by create revision, together with every client that follows etcd's
//!   convention (Go's `concurrency.Mutex`, `etcdctl lock`).
//! - Dropping the future, or failing, leaves no entry behind: a clean-up goes on until the store has
//!   confirmed it or the lease has ended.

use crate::acquire::attempt::AcquireAttempt;
use crate::error::AcquireError;
use crate::grant::Grant;
use crate::locks::Locks;

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

    /// Acquires a lock and calls `report` whenever our place in the queue changes.
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
