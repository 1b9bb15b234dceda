//! The wall clock. No other file of this crate reads one.

use std::time::SystemTime;

use leasehold_records::UnixMs;

/// The present. The only function that reads a clock.
pub(crate) fn now() -> UnixMs {
    UnixMs::from_system(SystemTime::now())
}
