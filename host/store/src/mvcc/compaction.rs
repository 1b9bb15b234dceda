//! Giving history up: what goes, on the disk and then in memory.
//!
//! Only keys that changed since the last compaction are looked at. Memory is let go only after the disk
//! has taken note, so that a reader never misses what a crash would bring back.

use etcd_client::proto::PbCompactionResponse;

use super::state::{State, weight};
use crate::change::Key;
use crate::error::StoreError;

impl State {
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
            header: Some(super::state::header_at(self.applied)),
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
                .map(|change| weight(change))
                .sum::<u64>();
            if versions.trim(compacted) {
                self.index.remove(&key);
            }
        }
        while self
            .log
            .front()
            .is_some_and(|revision| revision.number < compacted)
        {
            self.log.pop_front();
        }
        self.compacted = compacted;
    }

    /// The keys that changed in the history kept, up to a revision; each once.
    fn changed_until(&self, revision: i64) -> Vec<Key> {
        let mut keys: Vec<Key> = self
            .log
            .iter()
            .take_while(|kept| kept.number <= revision)
            .flat_map(|kept| kept.changes.iter())
            .map(|change| Key::clone(&change.key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
