//! Durations of the disk's work, for metrics.

use crate::latency::LatencyHistogram;

/// Durations of the disk's work. They count on when the disk is opened anew.
#[derive(Debug, Default)]
pub(crate) struct DiskTimes {
    /// Writing one record to the log, and syncing it.
    pub(crate) log_record: LatencyHistogram,
    /// One transaction of redb, its sync included.
    pub(crate) file_transaction: LatencyHistogram,
}
