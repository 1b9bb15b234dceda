//! One lock: its queue, and how its holder came to hold it.

use std::sync::Arc;

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
    /// The queue by create revision: the first holds.
    pub(crate) queue: Vec<Arc<QueueEntry>>,
    /// How it came to be as it is.
    pub(crate) tenancy: LockTenancy,
}

impl ObservedLock {
    pub(crate) fn holder(&self) -> Option<&Arc<QueueEntry>> {
        self.queue.first()
    }

    pub(crate) fn waiters(&self) -> &[Arc<QueueEntry>] {
        self.queue.get(1..).unwrap_or_default()
    }

    /// Puts an entry in its place; one of the same key goes.
    pub(super) fn insert(&mut self, entry: Arc<QueueEntry>) {
        self.remove(&entry.key);
        let at = self
            .queue
            .partition_point(|other| other.create_revision < entry.create_revision);
        self.queue.insert(at, entry);
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<QueueEntry>> {
        let at = self.queue.iter().position(|entry| &*entry.key == key)?;
        Some(self.queue.remove(at))
    }
}
