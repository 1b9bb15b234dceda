//! Histogram of durations, for metrics.
//!
//! Counting must never wait: one addition each to a bucket and to the sum.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Number of buckets with an upper bound: etcd's own, 1 ms and its doubles up to 8.192 s.
const BUCKETS: usize = 14;

/// Durations, counted by size.
#[derive(Debug, Default)]
pub(crate) struct LatencyHistogram {
    /// The last one counts durations beyond the largest bound.
    buckets: [AtomicU64; BUCKETS + 1],
    nanoseconds: AtomicU64,
}

/// Counts of a [`LatencyHistogram`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LatencyCounts {
    /// Upper bounds, and the number of durations up to each.
    pub(crate) buckets: Vec<(Duration, u64)>,
    /// The number of all durations.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: Duration,
}

impl LatencyHistogram {
    /// Runs `work` and counts the time it takes.
    pub(crate) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.observe(began.elapsed());
        result
    }

    fn observe(&self, duration: Duration) {
        let bucket = (0..BUCKETS).find(|bucket| duration <= bound(*bucket));
        self.buckets[bucket.unwrap_or(BUCKETS)].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Returns the counts of the moment.
    pub(crate) fn counts(&self) -> LatencyCounts {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(BUCKETS);
        for (number, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if number < BUCKETS {
                buckets.push((bound(number), count));
            }
        }
        LatencyCounts {
            buckets,
            count,
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

fn bound(bucket: usize) -> Duration {
    Duration::from_millis(1 << bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_that_holds_it() {
        let histogram = LatencyHistogram::default();
        for millis in [0, 1, 3, 9000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let counts = histogram.counts();
        let of = |millis: u64| {
            let found = counts
                .buckets
                .iter()
                .find(|(bound, _)| bound.as_millis() == u128::from(millis));
            found.map(|(_, count)| *count)
        };
        assert_eq!(
            (of(1), of(2), of(4), of(8192)),
            (Some(2), Some(2), Some(3), Some(3))
        );
        assert_eq!((counts.count, counts.sum.as_millis()), (4, 9004));
    }
}
