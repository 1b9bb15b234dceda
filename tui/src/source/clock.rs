//! The wall clock. No other file of this crate reads one.

use std::time::SystemTime;

/// The present, in Unix milliseconds. The only function that reads a clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
