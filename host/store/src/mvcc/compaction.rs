//! Giving history up: what goes, on the disk and then in memory.
//!
//! Only keys that changed since the last compaction are looked at. Memory is let go only after the disk
//! has taken note, so that a reader never misses what a crash would bring back.

use std::sync::Arc;

use etcd_client::proto::PbCompactionResponse;

use super::command::header_at;
use super::memory::change_memory;
use super::state::MvccState;
use crate::change::{RevisionChanges, SharedKey};
use crate::error::StoreError;

/// What watchers that are nearly up to date can still read after a compaction: so many revisions, and at most
/// so many bytes of them.
const RECENT_REVISIONS: usize = 1_000;
const RECENT_BYTES: u64 = 16 << 20;

impl MvccState {
    /// Takes note that the history before a revision is not wanted any more.
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

    /// Lets go in memory of what the disk has let go of.
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

    /// How many revisions of the log to keep: the history, and a little before it, for watchers that were up
    /// to date a moment ago and must not be told that they missed something.
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

    /// The keys that changed in the history kept, up to a revision; each once.
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
