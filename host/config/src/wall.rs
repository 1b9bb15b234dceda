//! Wall time, for schedules and for people. No decision about holding a lock reads it: the clocks
//! of hosts differ, and each is set now and then.

use std::time::SystemTime;

pub use leasehold_records::UnixMs;

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
        UnixMs::from_system(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_wall_shows_a_present_time() {
        assert!(SystemWall.now() > UnixMs::new(1_700_000_000_000));
    }
}
