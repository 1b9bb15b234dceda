//! [`Grant`]: the proof that a lock is held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leasehold_ids::{LeaseId, Revision, Token};

use crate::end_reason::EndReason;
use crate::error::StoreError;
use crate::fence::Fence;
use crate::kv::Kv;
use crate::local_queue::QueueClaim;
use crate::lock_entry::LockEntry;
use crate::own_entry::OwnEntry;
use crate::tenure::Tenure;

/// The proof that a lock was acquired, or several at once, and the only way to act under it.
///
/// It is made only by acquiring. Dropping it ends the tenure at once and removes the entry in the background;
/// [`Grant::release`] returns when the store has confirmed the removal.
///
/// # Caveats
///
/// Holding a grant does not mean that the lock is held *now*: check [`Tenure::admits`] before every effect, and let
/// effects on the store carry the [`Fence`].
#[must_use = "dropping a grant gives the lock back"]
pub struct Grant {
    create_revision: Revision,
    tenure: Tenure,
    /// One for each entry.
    claims: Vec<QueueClaim>,
    entry: OwnEntry,
    waited: Duration,
    /// True if the store has confirmed that our entries are deleted.
    left: AtomicBool,
}

impl Grant {
    pub(crate) const fn new(
        create_revision: Revision,
        tenure: Tenure,
        claims: Vec<QueueClaim>,
        entry: OwnEntry,
        waited: Duration,
    ) -> Self {
        Self {
            create_revision,
            tenure,
            claims,
            entry,
            waited,
            left: AtomicBool::new(false),
        }
    }

    /// Our entries, one for each lock, in the order of the request. There is at least one.
    pub fn entries(&self) -> &[LockEntry] {
        self.entry.entries()
    }

    /// The name of the lock, as in the request; of several, that of the first.
    pub fn name(&self) -> &str {
        self.entries().first().map_or("", LockEntry::name)
    }

    /// The key of our entry; of several, that of the first.
    pub fn key(&self) -> &str {
        self.entries().first().map_or("", LockEntry::key)
    }

    /// The fencing token: the create revision of our entries. It strictly increases over the exclusive holders of a
    /// lock, so a receiver that remembers the highest one can refuse late effects of earlier holders.
    ///
    /// Holders that hold a lock together, shared or by permits, have different tokens that are valid at one time. There
    /// a token still separates a holder from those that came after it had left, and not from those beside it.
    pub fn token(&self) -> Token {
        Token::from(self.create_revision)
    }

    /// The lease that carries our entries.
    pub fn lease(&self) -> LeaseId {
        self.entry.lease()
    }

    /// The duration of the acquisition.
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// The tenure: the answer to "may effects still begin?". Cheap to clone, readable from any thread.
    pub const fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// The condition of a fenced write: each of our entries exists.
    pub fn fence(&self) -> Fence {
        Fence::new(self.entries(), self.create_revision)
    }

    /// Ends the tenure. A session that ended before is a loss, and is reported as one.
    fn release_tenure(&self) {
        self.tenure.report_loss();
        self.tenure.end(EndReason::Released);
    }

    /// Reads from the store whether each of our entries exists now, and ends the tenure if one does not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn verify(&self) -> Result<bool, StoreError> {
        let kv = Kv::new(self.entry.shared().requests.clone());
        let exists = kv.entry_exists(&self.fence()).await?;
        if !exists {
            self.tenure.end(EndReason::TokenStale);
        }
        Ok(exists && self.tenure.admits())
    }

    /// Writes one key and gives the locks back, in one transaction, if the last change of the key was at `expected`
    /// and each of our entries exists. Returns true if it did; otherwise nothing was changed. Stop the work, and see it
    /// stopped, *before* calling this: the tenure ends in any case. [`Grant::release`] must still be called.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn put_and_release(
        &self,
        key: &str,
        expected: Revision,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        self.release_tenure();
        let kv = Kv::new(self.entry.shared().requests.clone());
        let fence = self.fence();
        let is_done = kv
            .compare_and_put_leaving(&fence, key, expected, value)
            .await?;
        if is_done {
            self.left.store(true, Ordering::Release);
        }
        Ok(is_done)
    }

    /// Gives the locks back, in one transaction. Stop the work, and see it stopped, *before* calling this.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store did not confirm it. The tenure has ended all the same, and the removal continues
    /// in the background until it is confirmed or the lease has ended.
    pub async fn release(mut self) -> Result<(), StoreError> {
        self.release_tenure();
        if self.left.load(Ordering::Acquire) {
            return Ok(());
        }
        self.entry.remove().await
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.release_tenure();
        if self.left.load(Ordering::Acquire) {
            self.entry.set_deleted();
        }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("entries", &self.entries())
            .field("token", &self.create_revision)
            .field("tenure", &self.tenure)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}
