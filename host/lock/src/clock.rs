//! The clock that every deadline is read from.
//!
//! Deadlines are on the boot-time clock, which counts while the machine is suspended. `std::time::Instant` stops
//! during suspend on Linux, so a lease could end on the server while an `Instant` deadline still lay ahead. This file
//! never reads wall time: wall time is for display and cron, and does not decide about locks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A moment on the boot-time clock, in nanoseconds since the machine booted.
///
/// Comparable between processes of one machine, meaningless between machines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootTime(u64);

impl BootTime {
    /// The moment the machine booted: earlier than every other moment.
    pub const BOOT: Self = Self(0);

    /// Makes a moment from nanoseconds since boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` after this one; saturates at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// The moment `by` before this one; stops at boot.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Debug for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{:?}", Duration::from_nanos(self.0))
    }
}

/// Source of the current moment. Production reads the system; tests set the time.
pub trait Clock: Send + Sync + 'static {
    /// The current moment. Never decreases.
    fn now(&self) -> BootTime;
}

/// The machine's boot-time clock (`CLOCK_BOOTTIME`): one vDSO call, no system call.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> BootTime {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        // Elsewhere `CLOCK_MONOTONIC` is the one that counts suspend (macOS) or the best there is.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        BootTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

/// A clock that moves only by [`ManualClock::advance`].
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock whose current moment is `start`.
    pub const fn at(start: BootTime) -> Self {
        Self(AtomicU64::new(start.as_nanos()))
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> BootTime {
        BootTime(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_counts_from_boot_and_does_not_go_back() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(first > BootTime::BOOT);
        assert!(second >= first);
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let early = BootTime::from_nanos(5);
        assert_eq!(early.before(Duration::from_secs(1)), BootTime::BOOT);
        assert_eq!(early.since(BootTime::from_nanos(9)), Duration::ZERO);
        assert_eq!(
            BootTime::from_nanos(u64::MAX).after(Duration::from_secs(1)),
            BootTime::from_nanos(u64::MAX)
        );
    }
}
