//! Pauses and bounds of renewals, as parts of the lease's TTL. Pure.

use std::time::Duration;

/// Renewals that are sent per TTL while replies come at once. Configuration that must leave room for a renewal,
/// and every view that shows when one is due, computes with this number.
pub const RENEWALS_PER_TTL: u32 = 3;

/// The pause between renewals of a lease of `ttl` while replies come at once.
#[must_use]
pub fn renewal_interval(ttl: Duration) -> Duration {
    ttl / RENEWALS_PER_TTL
}

/// The pace of one lease's renewals.
#[derive(Clone, Copy, Debug)]
pub(super) struct RenewalPace {
    ttl: Duration,
}

impl RenewalPace {
    pub(super) const fn new(ttl: Duration) -> Self {
        Self { ttl }
    }

    /// The pause between renewals while replies come at once.
    pub(super) fn interval(self) -> Duration {
        renewal_interval(self.ttl)
    }

    /// A renewal, or the opening of a stream, without a reply for this long is late.
    pub(super) fn late(self) -> Duration {
        self.ttl / (2 * RENEWALS_PER_TTL)
    }

    /// The least pause between renewals.
    pub(super) fn least(self) -> Duration {
        self.ttl / 20
    }

    /// The pause before the next renewal, where the slowest reply took `slowest`. Replies that are late may become
    /// later: renewals are then sent so often that one arrives before the deadline though it takes most of the TTL.
    pub(super) fn pause(self, slowest: Duration) -> Duration {
        if slowest >= self.least() {
            self.least() * 2
        } else {
            self.interval()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_of_late_replies_is_a_tenth_of_the_ttl() {
        let pace = RenewalPace::new(Duration::from_secs(12));
        assert_eq!(pace.pause(Duration::ZERO), Duration::from_secs(4));
        assert_eq!(pace.pause(pace.late()), Duration::from_millis(1_200));
    }
}
