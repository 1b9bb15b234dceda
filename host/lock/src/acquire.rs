//! Acquisition: from a request to a [`Grant`], or to the error that refuses it.
//!
//! # Expected flow
//!
//! ```text
//! slot ─▶ enqueue ─▶ holds? ──yes──▶ Grant
//!            ▲         │ no
//!            │         ├─ short queue, or not exclusive: follow the lock's watch until it holds
//!            │         └─ long queue: follow the entry ahead of ours
//!            └── unknown outcome: send again (the entry is made at most once)
//! ```
//!
//! A request for several locks does the same with one entry in each queue: one transaction makes all entries, and the
//! grant comes when all hold.
//!
//! # Guarantees
//!
//! - A grant is given only on proof, at one store revision, that our entry existed and fitted beside all entries ahead
//!   of it (see [`queue_role`](crate::queue_role)), and only while our session admits. Of several entries each has its
//!   proof. An entry that fits goes on to fit while it exists, so all hold at the last of these revisions.
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
mod plan;
mod refusal;
mod request;

pub use request::{Acquire, LockPlace, LockWait};

impl Locks {
    /// Acquires a lock, or several at once.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`]. In every case nothing of ours stays in the queue.
    pub async fn acquire(&self, request: Acquire) -> Result<Grant, AcquireError> {
        self.acquire_reporting(request, |_| {}).await
    }

    /// As [`Locks::acquire`], and calls `report` at each change of our place in the queue.
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
