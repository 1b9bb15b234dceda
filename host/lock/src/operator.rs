//! What an operator may do to entries and leases of others: force them out.
//!
//! A holder that is forced out is told on its watch and stops; until then only fencing separates it from
//! the next. This is for people who have looked: nothing in this crate does it on its own.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};

use crate::error::{Refusal, StoreError};
use crate::locks::Locks;

/// What is left behind about a deed, for others to read, until its time is over.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The key to write.
    pub key: String,
    /// What to write under it.
    pub value: Vec<u8>,
    /// How long it stays.
    pub keep: Duration,
}

impl Locks {
    /// Deletes the queue entry `(key, create_revision)`, and leaves `trace` behind in the same transaction.
    /// Returns false, with nothing changed, when that entry does not stand any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn remove_entry(
        &self,
        key: &str,
        create_revision: i64,
        trace: &Trace,
    ) -> Result<bool, StoreError> {
        let stands = Compare::create_revision(key, CompareOp::Equal, create_revision);
        let word = self.leave(trace).await?;
        let txn = Txn::new()
            .when([stands])
            .and_then([TxnOp::delete(key, None), word]);
        Ok(self.0.wire.txn(txn).await?.succeeded)
    }

    /// Ends a lease, and with it every key on it. `trace` is left behind first, so that no deed is without
    /// one. Returns false when there is no such lease.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn revoke_lease(&self, lease: i64, trace: &Trace) -> Result<bool, StoreError> {
        if self.lease_ttl(lease).await?.is_none() {
            return Ok(false);
        }
        let word = self.leave(trace).await?;
        self.0.wire.txn(Txn::new().and_then([word])).await?;
        let revoke = || {
            let mut leases = self.0.wire.client().lease_client();
            async move { leases.revoke(lease).await }
        };
        match self.0.wire.ask(revoke).await {
            Ok(_) => Ok(true),
            Err(StoreError::Refused {
                kind: Refusal::LeaseNotFound,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn leave(&self, trace: &Trace) -> Result<TxnOp, StoreError> {
        let seconds = i64::try_from(trace.keep.as_secs()).unwrap_or(i64::MAX);
        let grant = || {
            let mut leases = self.0.wire.client().lease_client();
            async move { leases.grant(seconds, None).await }
        };
        let lease = self.0.wire.ask(grant).await?.id();
        let options = PutOptions::new().with_lease(lease);
        Ok(TxnOp::put(
            trace.key.as_str(),
            trace.value.clone(),
            Some(options),
        ))
    }
}
