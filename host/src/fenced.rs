//! Guest storage on the store: every write is a transaction that compares the lock entry.
//!
//! Which keys a guest may use is decided before this file is reached; this file must never widen it.

use futures_util::future::BoxFuture;
use leasehold_lock::{EndReason, Fence, FencedError, Grant, Kv, StoreError, Tenure};

use crate::runtime::{Entry, GuestKv, KvError};

/// Fenced access for one run.
pub(crate) struct FencedKv {
    kv: Kv,
    fence: Fence,
    tenure: Tenure,
    /// `<root>kv/`; the guest's keys begin after it.
    prefix: String,
}

impl FencedKv {
    pub(crate) fn new(kv: Kv, grant: &Grant, prefix: String) -> Self {
        Self {
            kv,
            fence: grant.fence(),
            tenure: grant.tenure().clone(),
            prefix,
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn entry(&self, kv: leasehold_lock::KeyValue) -> Entry {
        Entry {
            key: kv
                .key
                .strip_prefix(&self.prefix)
                .map_or_else(|| kv.key.clone(), str::to_owned),
            value: kv.value,
            mod_revision: u64::try_from(kv.mod_revision).unwrap_or(0),
        }
    }

    fn refused(&self, error: FencedError) -> KvError {
        match error {
            FencedError::Stale => {
                // The store has spoken before the watch did.
                self.tenure.end(EndReason::TokenStale);
                KvError::Lost
            }
            FencedError::Conflict => KvError::Conflict,
            FencedError::Store(error) => failed(&error),
        }
    }
}

fn failed(error: &StoreError) -> KvError {
    KvError::Unavailable(error.to_string())
}

fn revision(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}

impl GuestKv for FencedKv {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, KvError>> {
        Box::pin(async move {
            let found = self.kv.get(&self.full(key)).await;
            Ok(found
                .map_err(|error| failed(&error))?
                .map(|kv| self.entry(kv)))
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, KvError>> {
        Box::pin(async move {
            let found = self.kv.list(&self.full(prefix), limit).await;
            let found = found.map_err(|error| failed(&error))?;
            Ok(found.into_iter().map(|kv| self.entry(kv)).collect())
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(async move {
            let key = self.full(key);
            let put = self.kv.put_fenced(&self.fence, &key, &value);
            put.await.map(revision).map_err(|error| self.refused(error))
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, KvError>> {
        Box::pin(async move {
            let key = self.full(key);
            let delete = self.kv.delete_fenced(&self.fence, &key);
            delete.await.map_err(|error| self.refused(error))
        })
    }

    fn compare_and_put<'a>(
        &'a self,
        key: &'a str,
        expected_mod_revision: u64,
        value: Vec<u8>,
    ) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(async move {
            // A revision beyond what the store counts in can match nothing.
            let Ok(expected) = i64::try_from(expected_mod_revision) else {
                return Err(KvError::Conflict);
            };
            let key = self.full(key);
            let put = self
                .kv
                .compare_and_put_fenced(&self.fence, &key, expected, &value);
            put.await.map(revision).map_err(|error| self.refused(error))
        })
    }

    fn compare_and_delete<'a>(
        &'a self,
        key: &'a str,
        expected_mod_revision: u64,
    ) -> BoxFuture<'a, Result<(), KvError>> {
        Box::pin(async move {
            let Ok(expected) = i64::try_from(expected_mod_revision) else {
                return Err(KvError::Conflict);
            };
            let key = self.full(key);
            let delete = self
                .kv
                .compare_and_delete_fenced(&self.fence, &key, expected);
            delete.await.map_err(|error| self.refused(error))
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), KvError>> {
        Box::pin(async move {
            match self.kv.stands(&self.fence).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.refused(FencedError::Stale)),
                Err(error) => Err(failed(&error)),
            }
        })
    }
}
