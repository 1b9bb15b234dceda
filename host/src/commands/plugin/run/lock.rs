//! The simulated lock: held for a chosen time.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Clock, Tenure};

/// Longer than any trial of a plugin.
const HELD: Duration = Duration::from_hours(24 * 365);

/// `fake`, or `fake:5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FakeLock {
    /// Held until the run ends.
    Held,
    /// Lost after this long.
    LostAfter(Duration),
}

impl FakeLock {
    /// Returns the tenure of such a lock, from now on.
    pub(super) fn tenure(self, clock: &Arc<dyn Clock>) -> Tenure {
        let lasting = match self {
            Self::Held => HELD,
            Self::LostAfter(time) => time,
        };
        Tenure::detached(clock.clone(), clock.now().after(lasting))
    }

    pub(super) const fn is_lost(self) -> bool {
        matches!(self, Self::LostAfter(_))
    }
}

impl FromStr for FakeLock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "fake" {
            return Ok(Self::Held);
        }
        let time = text
            .strip_prefix("fake:")
            .ok_or("write fake, or fake:5s for a lock that is lost after five seconds")?;
        match humantime::parse_duration(time) {
            Ok(time) if time <= HELD => Ok(Self::LostAfter(time)),
            Ok(_) => Err("write a year or less".to_owned()),
            Err(_) => Err("write a number and a unit after fake:, as in fake:5s".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_or_lost_after_a_time() {
        let five = FakeLock::LostAfter(Duration::from_secs(5));
        assert_eq!("fake".parse(), Ok(FakeLock::Held));
        assert_eq!("fake:5s".parse(), Ok(five));
        for wrong in ["", "real", "fake:", "fake:5", "fake:9999days"] {
            assert!(wrong.parse::<FakeLock>().is_err(), "{wrong}");
        }
    }
}
