//! [`HourlyLimit`]: a number of messages an hour, which may come at once. Pure.

use std::time::Duration;

use leasehold_lock::BootTime;

/// A bucket that fills evenly.
#[derive(Clone, Debug)]
pub(super) struct HourlyLimit {
    most: f64,
    left: f64,
    at: Option<BootTime>,
}

impl HourlyLimit {
    pub(super) fn new(most: u32) -> Self {
        let most = f64::from(most);
        Self {
            most,
            left: most,
            at: None,
        }
    }

    /// Fills the bucket up to this moment, and returns true if a message may be taken from it.
    pub(super) fn has_room(&mut self, now: BootTime) -> bool {
        const HOUR: f64 = Duration::from_hours(1).as_secs_f64();
        let passed = self.at.map_or(Duration::ZERO, |at| now.since(at));
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        self.left = (self.left + self.most * passed.as_secs_f64() / HOUR).min(self.most);
        self.left >= 1.0
    }

    /// Takes a message out; one that is sent in any case may leave the bucket empty.
    pub(super) fn take(&mut self) {
        self.left = (self.left - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn messages_may_come_at_once_and_then_evenly() {
        let mut limit = HourlyLimit::new(6);
        let mut admit = |seconds| {
            let has_room = limit.has_room(at(seconds));
            if has_room {
                limit.take();
            }
            has_room
        };
        assert!((0..6).all(|_| admit(100)));
        assert!(!admit(100));
        assert!(!admit(600));
        assert!(admit(701));
        assert!(!admit(1_200));
        // An event with an earlier time gives nothing back.
        assert!(!admit(50));
        assert_eq!((0..20).filter(|_| admit(90_000)).count(), 6);
    }
}
