//! An action of an operator, after its confirmation: on another client's entry or lease, or an order to hosts.

use leasehold_lock::{LeaseId, Revision};
use leasehold_records::AdminAction;

use super::host_order::HostOrder;

/// A confirmed action of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdminOrder {
    /// A change to another client's entry or lease.
    Entry(EntryOrder),
    /// An order to hosts.
    Hosts(HostOrder),
}

/// Action on another client's entry or lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryAction {
    /// End a lease, and all keys attached to it.
    RevokeLease,
    /// Remove a waiter from a queue.
    RemoveEntry,
    /// Remove the holder from a queue, which stops what it runs.
    StopRun,
}

impl EntryAction {
    /// Returns the action as it is recorded.
    pub(crate) const fn recorded(self) -> AdminAction {
        match self {
            Self::RevokeLease => AdminAction::RevokeLease,
            Self::RemoveEntry => AdminAction::RemoveEntry,
            Self::StopRun => AdminAction::StopRun,
        }
    }

    /// Returns the action's word.
    pub(crate) const fn as_str(self) -> &'static str {
        self.recorded().as_str()
    }
}

/// Change to another client's entry or lease, to be made once it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryOrder {
    pub(crate) deed: EntryAction,
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
