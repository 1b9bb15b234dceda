//! What a watcher reads: the durable past, up to now.
//!
//! A trait, so that watching is tested against a history made up for the test. This file must never
//! show what is not durable.

use std::sync::Arc;

use etcd_client::proto::{PbKeyValue, PbResponseHeader};

use crate::change::RevisionChanges;

/// The durable past, up to now.
pub(crate) trait WatchHistory: Send + Sync + 'static {
    /// The header of a reply at the last durable revision.
    fn header(&self) -> PbResponseHeader;

    /// The durable revisions from `from` on, at most `limit` of them, ascending and without gaps; none when
    /// there is no such revision yet.
    ///
    /// # Errors
    /// `from` is below the last compaction, which is given.
    fn history(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64>;

    /// As [`WatchHistory::history`], and also what lies a little before the compaction, while it is still there: for
    /// those who were up to date when somebody compacted.
    ///
    /// # Errors
    /// What was asked for is gone; the last compaction is given.
    fn recent(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        self.history(from, limit)
    }

    /// A key's value just before a revision, unless there was none or it was compacted away.
    fn before(&self, key: &[u8], revision: i64) -> Option<PbKeyValue>;
}
