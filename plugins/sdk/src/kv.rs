//! The store in which a stale holder cannot write.
//!
//! It must never retry a write: whether a write may be repeated only its author knows.

use std::str::{self, Utf8Error};

use crate::{GuardError, host};

/// The fenced store; see [`Context::kv`](crate::Context::kv).
///
/// Keys are relative to the host's `kv/` and must start with a prefix granted in
/// `[jobs.<name>.allow] kv = ["ledger/"]`. Every write is a transaction that also compares the
/// lock, so etcd itself refuses what a former holder still sends. There is no transaction over
/// several keys: record what you intend in one key first when two must change together.
///
/// # Errors
///
/// Every method fails with a [`GuardError`]; only [`GuardError::Unavailable`] leaves open
/// whether a write happened. Such a write may still arrive while this lock is held; use
/// [`compare_and_put`](Self::compare_and_put) and
/// [`compare_and_delete`](Self::compare_and_delete) where it must not overtake a newer one.
#[derive(Debug, Clone, Copy)]
pub struct Kv {
    _only_within_a_run: (),
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, in the form in which [`Kv::get`] takes it.
    pub key: String,
    /// The value, as it was written.
    pub value: Vec<u8>,
    /// The store's revision at which this value was written; never 0.
    pub mod_revision: u64,
}

impl Entry {
    /// The value as text.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.value)
    }
}

impl Kv {
    pub(crate) const fn of_this_run() -> Self {
        Self {
            _only_within_a_run: (),
        }
    }

    /// Reads one key; none when it does not exist. The answer is not older than the call.
    pub fn get(self, key: &str) -> Result<Option<Entry>, GuardError> {
        host::get(key)
    }

    /// Reads at most `limit` entries whose keys start with `prefix`, in ascending order of their
    /// keys, all as of one revision. When exactly `limit` came back there may be more.
    pub fn list(self, prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
        host::list(prefix, limit)
    }

    /// Writes a key, whatever it held. Returns the revision of the write.
    pub fn put(self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, GuardError> {
        host::put(key, value.as_ref())
    }

    /// Deletes a key. True when it existed.
    pub fn delete(self, key: &str) -> Result<bool, GuardError> {
        host::delete(key)
    }

    /// Writes a key only if its value is still the one written at `expected_mod_revision`; 0
    /// means that the key must not exist. Returns the revision of the write.
    ///
    /// # Errors
    ///
    /// [`GuardError::Conflict`] when it is not, besides the errors of every method.
    pub fn compare_and_put(
        self,
        key: &str,
        expected_mod_revision: u64,
        value: impl AsRef<[u8]>,
    ) -> Result<u64, GuardError> {
        host::compare_and_put(key, expected_mod_revision, value.as_ref())
    }

    /// Deletes a key only if its value is still the one written at `expected_mod_revision`. With 0,
    /// which is the revision of a key that does not exist, there is nothing to delete.
    ///
    /// Since version 1.1 of the contract: a job that calls it needs a host that speaks 1.1.
    ///
    /// # Errors
    ///
    /// [`GuardError::Conflict`] when it is not, besides the errors of every method.
    pub fn compare_and_delete(
        self,
        key: &str,
        expected_mod_revision: u64,
    ) -> Result<(), GuardError> {
        host::compare_and_delete(key, expected_mod_revision)
    }
}
