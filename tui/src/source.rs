//! Where facts come from: a store that is listened to, or a recording.

mod admin_action;
mod live;
mod recording;

pub(crate) use live::LiveSource;
pub use recording::RecordingError;
pub(crate) use recording::{Recorder, read};

use std::time::SystemTime;

use leasehold_lock::{KeyFeed, Locks};

use crate::model::KeyScope;

/// A feed of everything that is followed.
pub(crate) fn feed(locks: &Locks, scope: &KeyScope) -> KeyFeed {
    locks
        .feed(scope.watched())
        .or_parts(scope.root().as_str(), scope.parts())
        .except(scope.root().kv())
}

/// The moment it is, in Unix milliseconds. The only place that reads a clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
