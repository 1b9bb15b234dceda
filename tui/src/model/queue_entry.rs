//! One entry of a queue.

use std::sync::Arc;

use leasehold_lock::{KeyValue, LeaseId, LockMode, QueuedEntry, Revision, Token};
use leasehold_records::{HolderRecord, UnixMs};

use super::entry_owner::EntryOwner;

/// One entry of a queue. It is identified by key and create revision, never by the key alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueEntry {
    /// Full key.
    pub(crate) key: Arc<str>,
    /// Its create revision: its place in the queue, and its fencing token.
    pub(crate) create_revision: Revision,
    /// The lease that carries it; [`LeaseId::NONE`] for an administrative hold.
    pub(crate) lease: LeaseId,
    /// The owner of the entry.
    pub(crate) who: EntryOwner,
    /// Moment at which it joined the queue: from its record, or as seen. `None` for an entry
    /// without a record from before the start.
    pub(crate) since_unix_ms: Option<UnixMs>,
}

impl QueuedEntry for QueueEntry {
    fn mode(&self) -> LockMode {
        LockMode::of_key(&self.key, self.lease)
    }
}

impl QueueEntry {
    /// Reads an entry. `seen` is the moment at which it appeared, if that was seen.
    pub(crate) fn read(entry: &KeyValue, seen: Option<UnixMs>) -> Self {
        let record = HolderRecord::from_json(&entry.value).ok();
        Self {
            key: entry.key.as_str().into(),
            create_revision: entry.create_revision,
            lease: entry.lease,
            who: EntryOwner::read(entry),
            since_unix_ms: record.map(|record| record.since_unix_ms).or(seen),
        }
    }

    /// Returns true if `other` is an entry of the same job on the same host from another session: that host was
    /// started again, and the earlier entry exists until its lease runs out. Neither of the two waits for the other
    /// to act.
    pub(crate) fn is_of_another_session(&self, other: &Self) -> bool {
        matches!(self.who, EntryOwner::Job { .. })
            && self.who == other.who
            && self.lease != other.lease
    }

    /// Its fencing token.
    pub(crate) fn token(&self) -> Token {
        self.create_revision.into()
    }
}
