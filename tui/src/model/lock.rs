//! One lock: its queue, and how its holder came to hold it.

use std::sync::Arc;

use super::lock_queue::LockQueue;
use super::queue_entry::QueueEntry;

/// How a holder came to lose the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeaveReason {
    /// Its entry was deleted: given back, or removed by somebody.
    Released,
    /// Its lease ended: its entry went together with others of that lease, or when it had no time left.
    Expired,
    /// Somebody forced it out.
    Forced,
}

/// Since when the lock has been as it is, and who held it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockTenancy {
    /// Since when there has been this holder, or none, in Unix milliseconds; `None` when it was so
    /// before we looked.
    pub(crate) since_unix_ms: Option<u64>,
    /// Who held it before, and how that ended.
    pub(crate) before: Option<(Arc<QueueEntry>, LeaveReason)>,
}

/// One lock.
#[derive(Clone, Debug)]
pub(crate) struct ObservedLock {
    /// Its full name.
    pub(crate) name: Arc<str>,
    /// What it is called on the screen.
    pub(crate) label: Arc<str>,
    pub(crate) queue: LockQueue,
    /// How it came to be as it is.
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
