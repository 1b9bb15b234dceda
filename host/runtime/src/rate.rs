//! A bound on lines a second, with a count of the lines left out.

use std::time::Duration;

use leasehold_lock::BootTime;

/// Length of the interval in which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Counter of the lines let through in the current second.
#[derive(Debug)]
pub struct LineRate {
    most: u32,
    since: BootTime,
    passed: u32,
    held_back: u64,
}

impl LineRate {
    /// Lets `most` lines a second through.
    pub const fn new(most: u32, now: BootTime) -> Self {
        Self {
            most,
            since: now,
            passed: 0,
            held_back: 0,
        }
    }

    /// Returns the number of lines a second that pass.
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// Starts a new second when the old one is over.
    pub fn rolls_over(&mut self, now: BootTime) -> bool {
        let over = now.since(self.since) >= WINDOW;
        if over {
            self.since = now;
            self.passed = 0;
        }
        over
    }

    /// Returns true if one more line may pass. Otherwise the line is counted as left out.
    pub const fn passes(&mut self) -> bool {
        if self.passed < self.most {
            self.passed += 1;
            true
        } else {
            self.held_back += 1;
            false
        }
    }

    /// Returns the number of lines left out since the last call.
    pub const fn take_held_back(&mut self) -> u64 {
        std::mem::replace(&mut self.held_back, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lets_so_many_lines_pass_and_counts_the_rest() {
        let start = BootTime::from_nanos(1);
        let mut rate = LineRate::new(2, start);
        let passed = (0..5).filter(|_| rate.passes()).count();
        assert_eq!((passed, rate.take_held_back()), (2, 3));
        assert!(!rate.rolls_over(start.after(WINDOW / 2)));
        assert!(!rate.passes());
        assert!(rate.rolls_over(start.after(WINDOW)));
        assert!(rate.passes());
        assert_eq!(rate.take_held_back(), 1);
    }
}
