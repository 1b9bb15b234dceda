//! [`Grant`]: the proof that a lock is held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::StoreError;
use crate::fence::Fence;
use crate::kv::Kv;
use crate::local_queue::QueueClaim;
use crate::own_entry::OwnEntry;
use crate::tenure::{EndReason, Tenure};

/// The proof that a lock was acquired, and the only way to act under it.
///
/// It can be made only by acquiring. Dropping it ends the tenure at once and removes the entry in the
/// background; [`Grant::release`] tells when the store has confirmed it.
///
/// # Caveats
///
/// Holding a grant does not mean that the lock is held *now*: ask [`Tenure::admits`] before every
/// effect, and let effects on the store carry the [`Fence`].
#[must_use = "dropping a grant gives the lock back"]
pub struct Grant {
    name: String,
    create_revision: i64,
    tenure: Tenure,
    claim: QueueClaim,
    entry: OwnEntry,
    waited: Duration,
    /// True if the store has confirmed that our entry is gone.
    left: AtomicBool,
}

impl Grant {
    pub(crate) const fn new(
        name: String,
        create_revision: i64,
        tenure: Tenure,
        claim: QueueClaim,
        entry: OwnEntry,
        waited: Duration,
    ) -> Self {
        Self {
            name,
            create_revision,
            tenure,
            claim,
            entry,
            waited,
            left: AtomicBool::new(false),
        }
    }

    /// The lock's name, as it was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key of our entry.
    pub fn key(&self) -> &str {
        self.entry.key()
    }

    /// The fencing token: the create revision of our entry. Strictly increases over the holders of a
    /// lock, so a receiver that remembers the highest it has seen can refuse late effects of earlier
    /// holders.
    pub fn token(&self) -> u64 {
        u64::try_from(self.create_revision).unwrap_or(0)
    }

    /// The lease that carries our entry.
    pub fn lease(&self) -> i64 {
        self.entry.lease()
    }

    /// How long acquiring took.
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether effects may still begin. Cheap to clone, readable from anywhere.
    pub const fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// What a write must prove: that this very entry still stands.
    pub fn fence(&self) -> Fence {
        Fence::new(self.entry.key().to_owned(), self.create_revision)
    }

    /// Asks the store whether our entry stands, now, and ends the tenure if it does not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not say.
    pub async fn verify(&self) -> Result<bool, StoreError> {
        let kv = Kv::new(self.entry.shared().requests.clone());
        let exists = kv.entry_exists(&self.fence()).await?;
        if !exists {
            self.tenure.end(EndReason::TokenStale);
        }
        Ok(exists && self.tenure.admits())
    }

    /// Writes one key and gives the lock back, in one transaction: if the key's last change was at `expected` and
    /// our entry exists. Returns whether it did; otherwise nothing was changed. Stop the work, and see it stopped,
    /// *before* calling this: the tenure ends in any case. [`Grant::release`] must still be called.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn put_and_release(
        &self,
        key: &str,
        expected: i64,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        self.tenure.end(EndReason::Released);
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

    /// Gives the lock back. Stop the work, and see it stopped, *before* calling this.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store did not confirm it. The tenure has ended all the same, and the
    /// removal goes on in the background until it is confirmed or the lease has ended.
    pub async fn release(mut self) -> Result<(), StoreError> {
        self.tenure.end(EndReason::Released);
        if self.left.load(Ordering::Acquire) {
            return Ok(());
        }
        self.entry.remove().await
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.tenure.end(EndReason::Released);
        if self.left.load(Ordering::Acquire) {
            self.entry.set_deleted();
        }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("key", &self.entry.key())
            .field("token", &self.create_revision)
            .field("tenure", &self.tenure)
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}
