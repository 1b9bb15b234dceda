//! Loads under way: few big plugins at a time, and more small ones, so that these do not wait.

use leasehold_runtime::SMALL_PLUGIN_BYTES;
use tokio::task::{JoinError, JoinSet};

use super::source::{SeenFiles, SourceKey};
use super::version::{Version, VersionRefusal};

/// Big plugins loaded at the same time; the runtime itself compiles fewer.
const BIG: usize = 4;
/// Small plugins loaded at the same time.
const SMALL: usize = 16;

/// Result of loading an item, with its files as they were before.
pub(super) type LoadResult = (SourceKey, SeenFiles, Result<Version, VersionRefusal>);

/// Loads under way.
#[derive(Default)]
pub(super) struct LoadTasks {
    big: JoinSet<LoadResult>,
    small: JoinSet<LoadResult>,
}

impl LoadTasks {
    /// Returns the set for these files, if it has room.
    pub(super) fn room_for(&mut self, seen: &SeenFiles) -> Option<&mut JoinSet<LoadResult>> {
        let size = seen.plugin.map_or(0, |plugin| plugin.size_bytes());
        let (set, most) = if size > SMALL_PLUGIN_BYTES {
            (&mut self.big, BIG)
        } else {
            (&mut self.small, SMALL)
        };
        (set.len() < most).then_some(set)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.big.is_empty() && self.small.is_empty()
    }

    /// Waits for the next end of a load. `None` if there is none under way.
    pub(super) async fn join_next(&mut self) -> Option<Result<LoadResult, JoinError>> {
        tokio::select! {
            Some(done) = self.small.join_next() => Some(done),
            Some(done) = self.big.join_next() => Some(done),
            else => None,
        }
    }
}
