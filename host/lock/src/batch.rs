//! [`Batch`]: several writes that happen together or not at all, in one revision of the store.

use etcd_client::{DeleteOptions, Txn, TxnOp};
use leasehold_ids::{LeaseId, Revision};

use crate::error::StoreError;
use crate::kv::{Kv, put, unchanged_since};

/// Writes of one transaction. No key may be in it twice.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    ops: Vec<TxnOp>,
    bytes: usize,
}

impl Batch {
    /// Operations that a store takes in one transaction unless it was started with another limit.
    pub const MOST_OPS: usize = 128;

    /// Adds a write of a key, under `lease` unless that is [`LeaseId::NONE`].
    pub fn put(&mut self, key: &str, value: &[u8], lease: LeaseId) {
        self.bytes += key.len() + value.len();
        self.ops.push(put(key, value, lease));
    }

    /// Adds the deletion of a key. It may be missing.
    pub fn delete(&mut self, key: &str) {
        self.bytes += key.len();
        self.ops.push(TxnOp::delete(key, None));
    }

    /// Adds the deletion of every key from `from` up to but not including `end`.
    pub fn delete_range(&mut self, from: &str, end: &str) {
        self.bytes += from.len() + end.len();
        let options = DeleteOptions::new().with_range(end);
        self.ops.push(TxnOp::delete(from, Some(options)));
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True if it has no operations.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The length of its keys and values.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Kv {
    /// Carries out a batch if the last change of `key` was at `expected`, [`Revision::NONE`] for a missing key. Returns true if it was.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out, as a whole.
    pub async fn commit_if(
        &self,
        key: &str,
        expected: Revision,
        batch: Batch,
    ) -> Result<bool, StoreError> {
        let txn = Txn::new()
            .when([unchanged_since(key, expected)])
            .and_then(batch.ops);
        Ok(self.requests().txn(txn).await?.succeeded)
    }

    /// Carries out a batch. Returns the revision of the writes.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out, as a whole.
    pub async fn commit(&self, batch: Batch) -> Result<Revision, StoreError> {
        let reply = self.requests().txn(Txn::new().and_then(batch.ops)).await?;
        Ok(reply.revision)
    }
}
