//! Where facts come from: a store that is listened to, or a recording.

mod deed;
mod live;
mod recording;

pub(crate) use live::Live;
pub use recording::RecordingError;
pub(crate) use recording::{Recorder, read};

use std::time::SystemTime;

/// The moment it is, in Unix milliseconds. The only place that reads a clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
