//! Wall time, for schedules and for people. No decision about holding a lock reads it: the clocks
//! of hosts differ, and each is set now and then.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A moment of wall time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(u64);

impl UnixMs {
    /// The moment this many milliseconds after 1970.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`, or zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` after this one, in whole milliseconds; saturates at the largest value.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// The moment `by` before this one; saturates at 1970.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }
}

/// Prints RFC 3339 in UTC, with milliseconds only if they are not zero.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last moment that RFC 3339 can express, at the end of the year 9999.
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

/// Returns the milliseconds from 1970 to `time`; zero before 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, millis)
}

/// Source of wall time. Production reads the system's clock; tests set the time themselves, also
/// back.
pub trait WallClock: Send + Sync + 'static {
    /// Returns the current time of the clock.
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
