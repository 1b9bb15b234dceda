//! Wall time in records.
//!
//! It is for display and schedules. Nothing that decides about holding a lock may read it: the clocks of hosts differ,
//! and each is set now and then.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A moment of wall time, in milliseconds since 1970.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(u64);

impl UnixMs {
    /// Returns the moment of a system time; 1970 for earlier ones.
    pub fn from_system(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        Self(since.map_or(0, whole_millis))
    }

    /// Returns the moment `millis` milliseconds after 1970.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since 1970.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to `self`, or zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns the whole milliseconds from `earlier` to `self`, or zero when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the moment `by` after this one, in whole milliseconds; saturates at the largest value.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }

    /// Returns the moment `by` before this one; saturates at 1970.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }
}

/// RFC 3339, in UTC, with milliseconds only where there are any.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 3339 ends with the year 9999.
        const LAST: u64 = 253_402_300_799_999;
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.min(LAST));
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", humantime::format_rfc3339_seconds(time))
        } else {
            write!(f, "{}", humantime::format_rfc3339_millis(time))
        }
    }
}

/// Returns a duration in whole milliseconds; the largest value for longer ones.
pub fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_as_rfc_3339_and_never_wraps() {
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
        assert_eq!(UnixMs::new(5).millis_since(UnixMs::new(2)), 3);
        assert_eq!(UnixMs::new(5).millis_since(late), 0);
    }
}
