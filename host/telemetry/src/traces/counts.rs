//! [`TraceCounts`]: spans sent and dropped.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one process.
#[derive(Debug, Default)]
pub(crate) struct TraceCounts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl TraceCounts {
    /// Number of spans that the collector has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Number of spans that found no room, or that the collector did not take.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn send_spans(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn drop_spans(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}
