//! Keys of a queue: which keys are entries of a lock, their modes, and their order.

use etcd_client::{GetResponse, KeyValue};
use leasehold_ids::{LeaseId, LockMode, Revision};

use crate::queue_role::QueuedEntry;

/// One entry of a queue as a read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueKey {
    pub(crate) key: String,
    pub(crate) create_revision: Revision,
    pub(crate) mode: LockMode,
}

impl QueuedEntry for QueueKey {
    fn mode(&self) -> LockMode {
        self.mode
    }
}

impl QueueKey {
    /// The entry that a read shows; `None` for a key that is not text, which is not a client's entry.
    pub(crate) fn read(kv: &KeyValue) -> Option<Self> {
        let key = kv.key_str().ok()?;
        Some(Self {
            key: key.to_owned(),
            create_revision: Revision::new(kv.create_revision()),
            mode: LockMode::of_key(key, LeaseId::new(kv.lease())),
        })
    }
}

/// The direct children of `prefix`, oldest first. Deeper keys belong to other locks.
pub(crate) fn entries_of(range: &GetResponse, prefix: &str) -> Vec<QueueKey> {
    let mut entries: Vec<QueueKey> = range
        .kvs()
        .iter()
        .filter(|kv| kv.key_str().is_ok_and(|key| is_entry(key, prefix)))
        .filter_map(QueueKey::read)
        .collect();
    entries.sort_by_key(|entry| entry.create_revision);
    entries
}

/// True if `key` is a queue entry of the lock whose keys begin with `prefix` (which ends in `/`).
pub(crate) fn is_entry(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_direct_children_are_entries() {
        assert!(is_entry("/l/a/694d", "/l/a/"));
        assert!(!is_entry("/l/a/b/694d", "/l/a/"));
        assert!(!is_entry("/l/a/", "/l/a/"));
        assert!(!is_entry("/l/ab/694d", "/l/a/"));
    }
}
