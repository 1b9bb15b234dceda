//! Wall time, for schedules and for people. Nothing that decides whether a lock is held may read it: clocks
//! of hosts differ, and each is set now and then.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A moment of wall time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(u64);

impl UnixMs {
    /// This many milliseconds after 1970.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` after this one, in whole milliseconds; stays at the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// The moment `by` before this one; stops at 1970.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }
}

/// As people read it: RFC 3339, in UTC, with milliseconds only where there are any.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What RFC 3339 can say ends with the year 9999.
        const LAST: u64 = 253_402_300_799_999;
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.min(LAST));
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", humantime::format_rfc3339_seconds(time))
        } else {
            write!(f, "{}", humantime::format_rfc3339_millis(time))
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds from 1970 to `time`; zero before.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, millis)
}

/// Where wall time comes from. Production reads the system; tests turn the hands themselves, also back.
pub trait WallClock: Send + Sync + 'static {
    /// What the clock shows.
    fn now(&self) -> UnixMs;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWall;

impl WallClock for SystemWall {
    fn now(&self) -> UnixMs {
        UnixMs(unix_ms(SystemTime::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_as_people_read_them_and_never_wrap() {
        assert_eq!(UnixMs::new(1_500).to_string(), "1970-01-01T00:00:01.500Z");
        assert_eq!(UnixMs::new(2_000).to_string(), "1970-01-01T00:00:02Z");
        assert_eq!(
            UnixMs::new(u64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
        let late = UnixMs::new(u64::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(
            UnixMs::new(5).before(Duration::from_secs(1)),
            UnixMs::new(0)
        );
        assert_eq!(UnixMs::new(5).since(late), Duration::ZERO);
        assert!(SystemWall.now() > UnixMs::new(1_700_000_000_000));
    }
}
