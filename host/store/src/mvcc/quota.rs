//! The quota, and the history that is compacted to stay within it.
//!
//! The present values of keys are never dropped. A watch that still has to read compacted history is cancelled by
//! its stream, as it is when a client compacts.

use super::command::WriteCommand;
use super::memory::change_memory;
use super::size;
use super::state::MvccState;
use crate::change::ChangeKind;
use crate::error::StoreError;

/// The history to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryRetention {
    /// Number of revisions; `None` keeps all.
    pub(crate) revisions: Option<u64>,
    /// Number of bytes.
    pub(crate) bytes: u64,
}

impl MvccState {
    /// Refuses a write that would pass the quota.
    pub(super) const fn has_room(&mut self, growth: u64) -> Result<(), StoreError> {
        if growth > 0 && self.bytes.saturating_add(growth) > self.quota {
            // A refused large write raises no alarm while small ones fit.
            self.is_full |= self.is_nearly_full();
            return Err(StoreError::NoSpace);
        }
        Ok(())
    }

    /// Returns true if little would be free with all history compacted.
    pub(super) const fn is_nearly_full(&self) -> bool {
        self.live > self.quota / 10 * 9
    }

    /// Ends the NOSPACE alarm until the next refused write. Returns true if the alarm was raised.
    pub(crate) const fn disarm(&mut self) -> bool {
        std::mem::replace(&mut self.is_full, false)
    }

    /// Returns the bytes by which a command may pass the quota.
    pub(crate) fn shortage(&self, command: &WriteCommand) -> u64 {
        let growth = match size::most_growth(self.applied_view(), command) {
            0 => return 0,
            growth => growth,
        };
        self.bytes.saturating_add(growth).saturating_sub(self.quota)
    }

    /// Returns the revision to compact at so that a command fits that passes the quota by `shortage` bytes; `None`
    /// if compaction cannot free as much. It frees a twentieth of the quota more if it can, so that the next writes
    /// need no compaction each.
    pub(crate) fn compaction_for(&self, shortage: u64) -> Option<i64> {
        if shortage == 0 {
            return None;
        }
        self.revision_that_frees(shortage, shortage.saturating_add(self.quota / 20))
    }

    /// Returns the revision to compact at when the history is a tenth longer than is to be kept.
    pub(crate) fn overdue_compaction(&self, keep: HistoryRetention) -> Option<i64> {
        let by_count = keep.revisions.and_then(|keep| {
            let keep = i64::try_from(keep).unwrap_or(i64::MAX);
            let oldest = self.published.saturating_sub(keep);
            (oldest - self.compacted > keep / 10).then_some(oldest)
        });
        let history = self.bytes.saturating_sub(self.live);
        let most = keep.bytes.saturating_add(keep.bytes / 10);
        let by_bytes = (history > most)
            .then(|| self.revision_that_frees(1, history - keep.bytes))
            .flatten();
        by_count.max(by_bytes)
    }

    /// Returns the first revision at which a compaction frees `wanted` bytes, or the last one if that frees `least`.
    fn revision_that_frees(&self, least: u64, wanted: u64) -> Option<i64> {
        let (mut freed, mut deleted, mut found) = (0, 0, None);
        for revision in &self.log {
            if revision.number <= self.compacted || revision.number > self.published {
                continue;
            }
            // A deletion at the compaction itself is kept.
            freed += std::mem::take(&mut deleted);
            for change in &revision.changes {
                let before = self.index.get(&change.key).and_then(|v| v.before(change));
                // An earlier deletion was counted at its own revision.
                if let Some(before) = before.filter(|before| before.is_put()) {
                    freed += change_memory(before);
                }
                if matches!(change.kind, ChangeKind::Delete) {
                    deleted += change_memory(change);
                }
            }
            if freed >= least {
                found = Some(revision.number);
            }
            if freed >= wanted {
                break;
            }
        }
        found
    }
}
