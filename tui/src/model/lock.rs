//! One lock: its queue, and the last change of its holder.

use std::sync::Arc;

use leasehold_records::UnixMs;

use super::lock_queue::LockQueue;
use super::queue_entry::QueueEntry;

/// Reason for which a holder lost the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeaveReason {
    /// Its entry was deleted: by its client or by another one.
    Released,
    /// Its lease ended: its entry was deleted together with others of that lease, or when no time was left.
    Expired,
    /// An operator forced it out.
    Forced,
}

/// The last change of the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockTenancy {
    /// Moment of the last change of the holder; `None` if it was before the start.
    pub(crate) since_unix_ms: Option<UnixMs>,
    /// The previous holder, and the reason for which it lost the lock.
    pub(crate) before: Option<(Arc<QueueEntry>, LeaveReason)>,
}

/// One lock.
#[derive(Clone, Debug)]
pub(crate) struct ObservedLock {
    /// Full name.
    pub(crate) name: Arc<str>,
    /// Label on the screen.
    pub(crate) label: Arc<str>,
    pub(crate) queue: LockQueue,
    /// The last change of the holder.
    pub(crate) tenancy: LockTenancy,
}

impl ObservedLock {
    pub(crate) fn holder(&self) -> Option<&Arc<QueueEntry>> {
        self.queue.holders().first()
    }

    pub(crate) fn waiters(&self) -> &[Arc<QueueEntry>] {
        self.queue.waiters()
    }
}
