//! Compaction of history, first on the disk and then in memory.
//!
//! Only keys that changed since the last compaction are inspected. Memory is freed only after the disk has committed
//! the compaction. So readers never miss history that a crash would restore.

use std::sync::Arc;

use etcd_client::proto::PbCompactionResponse;

use super::command::header_at;
use super::memory::change_memory;
use super::state::MvccState;
use crate::change::{RevisionChanges, SharedKey};
use crate::error::StoreError;

/// Revisions that nearly up-to-date watchers can still read after a compaction, and the most bytes of them.
const RECENT_REVISIONS: usize = 1_000;
const RECENT_BYTES: u64 = 16 << 20;

impl MvccState {
    /// Requests the compaction of the history before a revision.
    pub(super) fn compact(&mut self, at: i64) -> Result<PbCompactionResponse, StoreError> {
        let given_up = self.batch.compacted.unwrap_or(self.compacted);
        if at <= given_up {
            return Err(StoreError::Compacted);
        }
        if at > self.applied {
            return Err(StoreError::FutureRevision);
        }
        self.batch.compacted = Some(at);
        self.batch.dropped = self
            .changed_until(at)
            .iter()
            .filter_map(|key| self.index.get(key))
            .flat_map(|versions| versions.superfluous(at))
            .map(|change| (change.revision, change.sub))
            .collect();
        Ok(PbCompactionResponse {
            header: Some(header_at(self.applied)),
        })
    }

    /// Frees the history in memory that the disk has compacted.
    pub(super) fn forget_before(&mut self, compacted: i64) {
        for key in self.changed_until(compacted) {
            let Some(versions) = self.index.get_mut(&key) else {
                continue;
            };
            self.bytes -= versions
                .superfluous(compacted)
                .iter()
                .map(|change| change_memory(change))
                .sum::<u64>();
            if versions.trim(compacted) {
                self.index.remove(&key);
            }
        }
        self.compacted = compacted;
        let gone = self.log.len() - self.worth_keeping();
        self.log.drain(..gone);
    }

    /// Returns the number of revisions to keep in the log: the history, and some before it. Watchers that were up to
    /// date a moment ago thus miss nothing.
    fn worth_keeping(&self) -> usize {
        let (mut recent, mut recent_bytes) = (0, 0);
        let is_kept = |revision: &Arc<RevisionChanges>| {
            if revision.number >= self.compacted {
                return true;
            }
            recent += 1;
            recent_bytes += revision
                .changes
                .iter()
                .map(|c| change_memory(c))
                .sum::<u64>();
            recent <= RECENT_REVISIONS && recent_bytes <= RECENT_BYTES
        };
        self.log
            .iter()
            .rev()
            .map(is_kept)
            .take_while(|kept| *kept)
            .count()
    }

    /// Returns the keys that changed in the kept history, up to a revision; each once.
    fn changed_until(&self, revision: i64) -> Vec<SharedKey> {
        let mut keys: Vec<SharedKey> = self
            .log
            .iter()
            .take_while(|kept| kept.number <= revision)
            .flat_map(|kept| kept.changes.iter())
            .map(|change| SharedKey::clone(&change.key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
