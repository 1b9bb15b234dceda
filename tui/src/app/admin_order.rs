//! An action of an operator on another client's entry or lease, before and after its confirmation.

use leasehold_records::Deed;

/// Something to be done to somebody's entry or lease, once it has been confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminOrder {
    pub(crate) deed: Deed,
    /// The full name of the lock.
    pub(crate) lock: String,
    /// The key of the entry.
    pub(crate) key: String,
    /// The create revision of the entry: another one under the same key is left alone.
    pub(crate) token: i64,
    pub(crate) lease: i64,
    /// Whose it is, as it is shown.
    pub(crate) whom: String,
    /// What has to be typed before it is done.
    pub(crate) confirm: String,
    /// What it will do, in a sentence.
    pub(crate) consequence: String,
}
