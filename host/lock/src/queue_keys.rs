//! Keys of a queue: which keys are entries of a lock, and their order.

use etcd_client::GetResponse;
use leasehold_ids::Revision;

/// One entry of a queue as a read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueKey {
    pub(crate) key: String,
    pub(crate) create_revision: Revision,
}

/// The direct children of `prefix`, oldest first. Deeper keys belong to other locks, and a key that is not text is
/// not a client's entry.
pub(crate) fn entries_of(range: &GetResponse, prefix: &str) -> Vec<QueueKey> {
    let mut entries: Vec<QueueKey> = range
        .kvs()
        .iter()
        .filter_map(|kv| {
            let key = kv.key_str().ok()?;
            is_entry(key, prefix).then(|| QueueKey {
                key: key.to_owned(),
                create_revision: Revision::new(kv.create_revision()),
            })
        })
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
