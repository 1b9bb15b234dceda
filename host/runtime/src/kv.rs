//! Fenced storage as a guest sees it: the trait that `fenced-kv` and `lock.check` call.
//!
//! Two implementations exist: transactions on etcd, and a map in memory for tests. This file must
//! never decide what a guest may reach; grants are checked before a call arrives here.

use futures_util::future::BoxFuture;

/// One stored value and the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key as the guest names it.
    pub key: String,
    /// The stored bytes.
    pub value: Vec<u8>,
    /// The revision of the last write of this key.
    pub mod_revision: u64,
}

/// Why an operation on fenced storage did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The lock is held no longer: the write was refused by the store, nothing happened.
    #[error("the lock is held no longer")]
    Lost,
    /// The compared revision did not match, nothing happened.
    #[error("the key was written at another revision")]
    Conflict,
    /// The store refuses a value or a reply of this size.
    #[error("too large for the store")]
    TooLarge,
    /// The job's keys have used up what they may take: nothing happened. The sentence names the remedy.
    #[error("{0}")]
    Full(String),
    /// The store failed; a write may or may not have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Storage whose every write is refused by the store itself once the lock is lost.
///
/// Futures are dropped without warning when the run is stopped; a dropped write may or may not
/// have happened.
pub trait GuestKv: Send + Sync {
    /// Reads one key.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, KvError>>;
    /// Reads at most `limit` keys that start with `prefix`, in key order; 0 reads none. Fails with
    /// [`KvError::TooLarge`], after having read little more, when they have more than `most_bytes`.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
        most_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<Entry>, KvError>>;
    /// Writes one key; answers the revision of the write.
    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<u64, KvError>>;
    /// Deletes one key; answers whether it was there.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, KvError>>;
    /// Writes one key if its last write was at `expected_mod_revision`; zero means "is absent".
    fn compare_and_put<'a>(
        &'a self,
        key: &'a str,
        expected_mod_revision: u64,
        value: Vec<u8>,
    ) -> BoxFuture<'a, Result<u64, KvError>>;
    /// Deletes one key if its last write was at `expected_mod_revision`; zero means "is absent", and
    /// deletes nothing.
    fn compare_and_delete<'a>(
        &'a self,
        key: &'a str,
        expected_mod_revision: u64,
    ) -> BoxFuture<'a, Result<(), KvError>>;
    /// Asks the store whether the lock is still held by this run's grant.
    fn check(&self) -> BoxFuture<'_, Result<(), KvError>>;
}
