//! The wall clock. No other file of this crate reads one.

use std::time::SystemTime;

use leasehold_records::whole_millis;

/// The present, in Unix milliseconds. The only function that reads a clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, whole_millis)
}
