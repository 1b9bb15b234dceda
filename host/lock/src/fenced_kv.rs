//! Fenced writes of [`Kv`]: transactions that also compare the create revision of the lock's entry. The store itself
//! refuses them when the token is stale, whatever any clock shows.

use etcd_client::{Compare, Txn, TxnOp};
use leasehold_ids::{LeaseId, Revision};

use crate::error::StoreError;
use crate::fence::{Fence, FencedError};
use crate::kv::{Kv, entries, put, unchanged_since};

impl Kv {
    /// Reads, linearizably, whether every entry behind `fence` exists.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn entry_exists(&self, fence: &Fence) -> Result<bool, StoreError> {
        // Ranges: etcd answers a transaction without writes from the member's own memory. An entry that was deleted
        // never returns, so all existed at the revision of the first reading if each exists at that of its own.
        for key in fence.keys() {
            let exists = self.requests().entry_exists(key, fence.create_revision());
            if !exists.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes one key if the fence's entry exists. Returns the revision of the write.
    ///
    /// # Errors
    ///
    /// [`FencedError::Stale`] when the entry does not exist; [`FencedError::Store`] otherwise.
    pub async fn put_fenced(
        &self,
        fence: &Fence,
        key: &str,
        value: &[u8],
    ) -> Result<Revision, FencedError> {
        let txn = Txn::new()
            .when(fence.compares().collect::<Vec<_>>())
            .and_then([put(key, value, LeaseId::NONE)]);
        let reply = self.requests().txn(txn).await?;
        reply
            .succeeded
            .then_some(reply.revision)
            .ok_or(FencedError::Stale)
    }

    /// Deletes one key if the fence's entry exists. Returns true if the key existed.
    ///
    /// # Errors
    ///
    /// As [`Kv::put_fenced`].
    pub async fn delete_fenced(&self, fence: &Fence, key: &str) -> Result<bool, FencedError> {
        let txn = Txn::new()
            .when(fence.compares().collect::<Vec<_>>())
            .and_then([TxnOp::delete(key, None)]);
        let reply = self.requests().txn(txn).await?;
        reply
            .succeeded
            .then(|| reply.deleted(0) > 0)
            .ok_or(FencedError::Stale)
    }

    /// Writes one key if the fence's entry exists and the last change of the key was at `expected`,
    /// [`Revision::NONE`] for a missing key. Returns the revision of the write.
    ///
    /// # Errors
    ///
    /// [`FencedError::Conflict`] when only the key differs; otherwise as [`Kv::put_fenced`].
    pub async fn compare_and_put_fenced(
        &self,
        fence: &Fence,
        key: &str,
        expected: Revision,
        value: &[u8],
    ) -> Result<Revision, FencedError> {
        let write = put(key, value, LeaseId::NONE);
        self.compared(fence, key, expected, write).await
    }

    /// As [`Kv::compare_and_put_fenced`], under `lease`.
    ///
    /// # Errors
    ///
    /// As [`Kv::compare_and_put_fenced`].
    pub async fn compare_and_put_fenced_leased(
        &self,
        fence: &Fence,
        key: &str,
        expected: Revision,
        value: &[u8],
        lease: LeaseId,
    ) -> Result<Revision, FencedError> {
        let write = put(key, value, lease);
        self.compared(fence, key, expected, write).await
    }

    /// Deletes one key if the fence's entry exists and the last change of the key was at `expected`,
    /// [`Revision::NONE`] for a missing key.
    ///
    /// # Errors
    ///
    /// As [`Kv::compare_and_put_fenced`].
    pub async fn compare_and_delete_fenced(
        &self,
        fence: &Fence,
        key: &str,
        expected: Revision,
    ) -> Result<(), FencedError> {
        let delete = TxnOp::delete(key, None);
        self.compared(fence, key, expected, delete).await.map(drop)
    }

    /// Writes one key and deletes the entries behind the fence, if the last change of the key was at `expected` and
    /// they exist. Returns true if they did.
    pub(crate) async fn compare_and_put_leaving(
        &self,
        fence: &Fence,
        key: &str,
        expected: Revision,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        let leave = fence
            .keys()
            .iter()
            .map(|key| TxnOp::delete(key.as_str(), None));
        let ops = std::iter::once(put(key, value, LeaseId::NONE)).chain(leave);
        let txn = Txn::new()
            .when(conditions(fence, key, expected))
            .and_then(ops.collect::<Vec<_>>());
        Ok(self.requests().txn(txn).await?.succeeded)
    }

    /// Carries out `write` of `key` under both compares. The error shows which of them failed.
    async fn compared(
        &self,
        fence: &Fence,
        key: &str,
        expected: Revision,
        write: TxnOp,
    ) -> Result<Revision, FencedError> {
        let locks = fence
            .keys()
            .iter()
            .map(|key| TxnOp::get(key.as_str(), None));
        let txn = Txn::new()
            .when(conditions(fence, key, expected))
            .and_then([write])
            .or_else(locks.collect::<Vec<_>>());
        let reply = self.requests().txn(txn).await?;
        if reply.succeeded {
            return Ok(reply.revision);
        }
        let exists = |at| {
            let entries = entries(&reply, at);
            let entry = entries.first();
            entry.is_some_and(|entry| entry.create_revision == fence.create_revision())
        };
        Err(if (0..fence.keys().len()).all(exists) {
            FencedError::Conflict
        } else {
            FencedError::Stale
        })
    }
}

/// The conditions that every entry of the fence exists, and that the last change of `key` was at `expected`.
fn conditions(fence: &Fence, key: &str, expected: Revision) -> Vec<Compare> {
    let unchanged = unchanged_since(key, expected);
    fence.compares().chain([unchanged]).collect()
}
