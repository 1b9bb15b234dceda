//! Actions of an operator against entries and leases of others: forcing them out.
//!
//! A holder that is forced out learns it from its watch and stops; until then only fencing separates it from the next
//! holder. Only an operator's decision may call this: nothing in this crate does.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use leasehold_ids::{LeaseId, Revision};

use crate::error::{RefusalKind, StoreError};
use crate::kv::put;
use crate::locks::Locks;

/// A note about an action, for others to read until it expires.
#[derive(Clone, Debug)]
pub struct AuditNote {
    /// The key to write.
    pub key: String,
    /// The value to write.
    pub value: Vec<u8>,
    /// The time after which the note expires.
    pub keep: Duration,
}

impl Locks {
    /// Deletes the queue entry `(key, create_revision)`, and writes `note` in the same transaction. Returns false,
    /// with nothing changed, when that entry does not exist any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn remove_entry(
        &self,
        key: &str,
        create_revision: Revision,
        note: &AuditNote,
    ) -> Result<bool, StoreError> {
        let exists = Compare::create_revision(key, CompareOp::Equal, create_revision.get());
        let put_note = self.put_note(note).await?;
        let txn = Txn::new()
            .when([exists])
            .and_then([TxnOp::delete(key, None), put_note]);
        Ok(self.0.requests.txn(txn).await?.succeeded)
    }

    /// Revokes a lease, which deletes every key on it. `note` is written first, so that no action is without one.
    /// Returns false when the lease does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn revoke_lease(&self, lease: LeaseId, note: &AuditNote) -> Result<bool, StoreError> {
        if self.lease_ttl(lease).await?.is_none() {
            return Ok(false);
        }
        let put_note = self.put_note(note).await?;
        self.0.requests.txn(Txn::new().and_then([put_note])).await?;
        let revoke = || {
            let mut leases = self.0.requests.client().lease_client();
            async move { leases.revoke(lease.get()).await }
        };
        match self.0.requests.send(revoke).await {
            Ok(_) => Ok(true),
            Err(StoreError::Refused {
                kind: RefusalKind::LeaseNotFound,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Grants a lease that is not renewed: keys under it are deleted after `keep`, in whole seconds. Returns its id.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn lease_for(&self, keep: Duration) -> Result<LeaseId, StoreError> {
        let seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let grant = || {
            let mut leases = self.0.requests.client().lease_client();
            async move { leases.grant(seconds, None).await }
        };
        Ok(LeaseId::new(self.0.requests.send(grant).await?.id()))
    }

    async fn put_note(&self, note: &AuditNote) -> Result<TxnOp, StoreError> {
        let lease = self.lease_for(note.keep).await?;
        Ok(put(&note.key, &note.value, lease))
    }
}
