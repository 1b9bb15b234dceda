//! Memory that changes and leases take, as the quota counts it.

use crate::change::{ChangeKind, KeyChange};

/// What one change takes in memory besides its key and value, about.
pub(super) const CHANGE_OVERHEAD: u64 = 200;

/// What a lease takes in memory and on the disk, about.
pub(super) const LEASE_BYTES: u64 = 256;

/// What a change takes in memory, about.
pub(super) fn change_memory(change: &KeyChange) -> u64 {
    let value = match &change.kind {
        ChangeKind::Put { value, .. } => value.len(),
        ChangeKind::Delete => 0,
    };
    (change.key.len() + value) as u64 + CHANGE_OVERHEAD
}
