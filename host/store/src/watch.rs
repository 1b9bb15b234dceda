//! Watching: subscribers to ranges of keys, and the history that they read.

mod history;
mod range_index;
mod registry;

pub(crate) use history::WatchHistory;
pub(crate) use range_index::RangeIndex;
pub(crate) use registry::{TouchedRevisions, WatchRegistry, WatchSubscription};
