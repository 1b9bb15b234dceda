//! Fenced storage for guests: the trait that `fenced-kv` and `lock.check` call.
//!
//! Two implementations exist: transactions on etcd, and a map in memory for tests. Grants are
//! checked before a call reaches this trait.

use futures_util::future::BoxFuture;
use leasehold_lock::Revision;

/// One stored value and the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// The key as the guest names it.
    pub key: String,
    /// The stored bytes.
    pub value: Vec<u8>,
    /// The revision of the last write of this key.
    pub mod_revision: Revision,
}

/// Error of an operation on fenced storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The lock is no longer held. The store refused the write, and nothing happened.
    #[error("the lock is held no longer")]
    Lost,
    /// The compared revision did not match. Nothing happened.
    #[error("the key was written at another revision")]
    Conflict,
    /// The store refuses a value or a reply of this size.
    #[error("too large for the store")]
    TooLarge,
    /// The job's keys have reached their size limit. Nothing happened. The text names the remedy.
    #[error("{0}")]
    Full(String),
    /// The store failed. A write may or may not have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Storage in which the store itself refuses every write once the lock is lost.
///
/// Futures are dropped without warning when the run is stopped. A dropped write may or may not
/// have happened.
pub trait GuestKv: Send + Sync {
    /// Reads one key.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>>;
    /// Reads at most `limit` keys that start with `prefix`, in key order; 0 reads none. If they have more
    /// than `most_bytes`, it stops reading shortly after that and fails with [`KvError::TooLarge`].
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
        most_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<KvEntry>, KvError>>;
    /// Writes one key and returns the revision of the write.
    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<Revision, KvError>>;
    /// Deletes one key and returns true if it existed.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, KvError>>;
    /// Writes one key if its last write was at `expected`. [`Revision::NONE`] means that the key is absent.
    fn compare_and_put<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
        value: Vec<u8>,
    ) -> BoxFuture<'a, Result<Revision, KvError>>;
    /// Deletes one key if its last write was at `expected`. [`Revision::NONE`] means that the key is
    /// absent, and deletes nothing.
    fn compare_and_delete<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
    ) -> BoxFuture<'a, Result<(), KvError>>;
    /// Checks in the store that this run's grant still holds the lock.
    fn check(&self) -> BoxFuture<'_, Result<(), KvError>>;
}
