//! One entry of a queue.

use std::sync::Arc;

use leasehold_lock::KeyValue;
use leasehold_records::HolderRecord;

use super::entry_owner::EntryOwner;

/// One entry of a queue. It is the pair of key and create revision, never the key alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueEntry {
    /// The full key.
    pub(crate) key: Arc<str>,
    /// The revision at which it was made: its place in the queue, and its fencing token.
    pub(crate) create_revision: i64,
    /// The lease that carries it, 0 for none.
    pub(crate) lease: i64,
    /// Who it is of.
    pub(crate) who: EntryOwner,
    /// When it joined the queue, in Unix milliseconds: as it says itself, or when we saw it come. Absent
    /// for what was there before us and says nothing.
    pub(crate) since_unix_ms: Option<u64>,
}

impl QueueEntry {
    /// Reads an entry. `seen` is when it was seen to come, if it was.
    pub(crate) fn read(entry: &KeyValue, seen: Option<u64>) -> Self {
        let record = HolderRecord::from_json(&entry.value).ok();
        Self {
            key: entry.key.as_str().into(),
            create_revision: entry.create_revision,
            lease: entry.lease,
            who: EntryOwner::read(entry),
            since_unix_ms: record.map(|record| record.since_unix_ms).or(seen),
        }
    }
}
