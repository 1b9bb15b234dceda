//! What a ledger needs of a store, so that its logic can be tested without a host.
//!
//! It must never offer a write without a compare: the ledger's safety rests on there being none.

use leasehold_job::{Entry, GuardError, Kv};

/// A store with one holder at a time; the words are those of the contract.
pub(crate) trait Store {
    /// Reads one key.
    fn get(&mut self, key: &str) -> Result<Option<Entry>, GuardError>;

    /// Reads at most `limit` entries below a prefix, in the order of their keys.
    fn list(&mut self, prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError>;

    /// Writes a key if it is still at a revision, 0 for "does not exist"; returns the new one.
    fn compare_and_put(&mut self, key: &str, expected: u64, value: &str)
    -> Result<u64, GuardError>;
}

impl Store for Kv {
    fn get(&mut self, key: &str) -> Result<Option<Entry>, GuardError> {
        Self::get(*self, key)
    }

    fn list(&mut self, prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
        Self::list(*self, prefix, limit)
    }

    fn compare_and_put(
        &mut self,
        key: &str,
        expected: u64,
        value: &str,
    ) -> Result<u64, GuardError> {
        Self::compare_and_put(*self, key, expected, value)
    }
}
