//! An action of an operator on another client's entry or lease, before and after its confirmation.

use leasehold_lock::{LeaseId, Revision};
use leasehold_records::AdminAction;

/// Change to another client's entry or lease, to be made once it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminOrder {
    pub(crate) deed: AdminAction,
    /// Full name of the lock.
    pub(crate) lock: String,
    /// Key of the entry.
    pub(crate) key: String,
    /// Create revision of the entry: a later entry under the same key is left alone.
    pub(crate) create_revision: Revision,
    pub(crate) lease: LeaseId,
    /// Owner of the entry, as shown.
    pub(crate) whom: String,
    /// Text to type as the confirmation.
    pub(crate) confirm: String,
    /// Consequence of the action, in one sentence.
    pub(crate) consequence: String,
}
