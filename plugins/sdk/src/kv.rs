//! The fenced store: keys and values that a stale holder cannot write.
//!
//! No call is retried: only the author of a write knows that it may be repeated.

use crate::error::GuardError;
use crate::host;
use crate::types::Entry;

/// The fenced store; see [`Context::kv`](crate::Context::kv).
///
/// Keys are relative to the host's `kv/` and must start with a prefix granted in
/// `[jobs.<name>.allow] kv = ["ledger/"]`. Every write is a transaction that also compares the
/// lock, so etcd itself refuses the writes that a former holder still sends. There is no transaction
/// over several keys: where two must change together, first record the intended change in one key.
///
/// # Errors
///
/// Every method fails with a [`GuardError`]; only after [`GuardError::Unavailable`] is it unknown
/// whether a write happened. Such a write may still arrive while this lock is held; use
/// [`compare_and_put`](Self::compare_and_put) and
/// [`compare_and_delete`](Self::compare_and_delete) where it must not overtake a newer one.
#[derive(Debug, Clone, Copy)]
pub struct Kv {
    _only_within_a_run: (),
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
    /// keys, all as of one revision. When exactly `limit` are returned there may be more.
    pub fn list(self, prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
        host::list(prefix, limit)
    }

    /// Writes a key, unconditionally. Returns the revision of the write.
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

    /// Deletes a key only if its value is still the one written at `expected_mod_revision`. 0 is the
    /// revision of a key that does not exist: the call then succeeds if the key does not exist.
    ///
    /// Since version 1.1 of the contract: a job that calls it needs a host of version 1.1.
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
