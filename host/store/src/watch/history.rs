//! The durable history that watchers read.
//!
//! It is a trait, so that watching is tested against a history made up for the test. This file must never show data
//! that is not durable.

use std::sync::Arc;

use etcd_client::proto::{PbKeyValue, PbResponseHeader};

use crate::change::RevisionChanges;

/// The durable history, up to the present revision.
pub(crate) trait WatchHistory: Send + Sync + 'static {
    /// Returns the header of a reply at the last durable revision.
    fn header(&self) -> PbResponseHeader;

    /// Returns the durable revisions from `from` on, at most `limit` of them, ascending and without gaps; none when
    /// that revision does not exist yet.
    ///
    /// # Errors
    /// `from` is below the last compaction, which is returned.
    fn history(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64>;

    /// Returns the same as [`WatchHistory::history`], and also revisions just before the compaction that are still
    /// kept: for watchers that were up to date at the compaction.
    ///
    /// # Errors
    /// The requested revisions are compacted; the last compaction is returned.
    fn recent(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        self.history(from, limit)
    }

    /// Returns a key's value just before a revision; `None` if it had none, or if it was compacted away.
    fn before(&self, key: &[u8], revision: i64) -> Option<PbKeyValue>;
}
