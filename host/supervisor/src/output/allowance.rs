//! A bound on bytes a second, with room for a burst.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes that may be written now. A write beyond it is a debt that later time pays.
#[derive(Debug)]
pub(super) struct Allowance {
    rate: u64,
    burst: i64,
    left: i64,
    at: Instant,
}

impl Allowance {
    /// Makes an allowance of `rate` bytes a second, with `burst` bytes at once.
    pub(super) fn new(rate: u64, burst: i64, now: Instant) -> Self {
        Self {
            rate,
            burst,
            left: burst,
            at: now,
        }
    }

    /// Returns the bytes that may be written now; 0 while there is a debt.
    pub(super) fn left(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at);
        let passed = passed.min(Duration::from_hours(1));
        let millis = leasehold_records::whole_millis(passed);
        let earned = millis.saturating_mul(self.rate) / 1_000;
        if earned > 0 {
            self.at = now;
            let earned = i64::try_from(earned).unwrap_or(i64::MAX);
            self.left = self.left.saturating_add(earned).min(self.burst);
        }
        usize::try_from(self.left).unwrap_or(0)
    }

    /// Counts written bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self
            .left
            .saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_over_time_stay_within_rate_and_burst() {
        let start = Instant::now();
        let mut allowance = Allowance::new(1_000, 500, start);
        let mut written = 0;
        for tick in 0..100_u32 {
            let now = start + Duration::from_millis(100) * tick;
            let left = allowance.left(now);
            if left > 0 {
                // One line may be larger than what is left.
                let bytes = left.max(300);
                allowance.spend(bytes);
                written += bytes;
            }
        }
        assert!((9_500..=10_700).contains(&written), "{written}");
    }
}
