//! Memory that changes and leases take, as the quota counts it.

use crate::change::{ChangeKind, KeyChange};

/// Approximate memory of one change besides its key and value.
pub(super) const CHANGE_OVERHEAD: u64 = 200;

/// Approximate bytes of a lease in memory and on the disk.
pub(super) const LEASE_BYTES: u64 = 256;

/// Returns the approximate memory of a change.
pub(super) fn change_memory(change: &KeyChange) -> u64 {
    let value = match &change.kind {
        ChangeKind::Put { value, .. } => value.len(),
        ChangeKind::Delete => 0,
    };
    (change.key.len() + value) as u64 + CHANGE_OVERHEAD
}
