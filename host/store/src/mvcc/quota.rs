//! Room for what is written: the quota, and the history that is given up to stay within it.
//!
//! The present values of keys are never given up. A watch that still has to read what was given up is cancelled by
//! its stream, as it is when a client compacts.

use super::command::WriteCommand;
use super::memory::change_memory;
use super::size;
use super::state::MvccState;
use crate::change::ChangeKind;
use crate::error::StoreError;

/// How much history is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryRetention {
    /// So many revisions, or all.
    pub(crate) revisions: Option<u64>,
    /// So many bytes.
    pub(crate) bytes: u64,
}

impl MvccState {
    /// Refuses what would pass the quota.
    pub(super) const fn has_room(&mut self, growth: u64) -> Result<(), StoreError> {
        if growth > 0 && self.bytes.saturating_add(growth) > self.quota {
            // A large write that does not fit while small ones do is no alarm.
            self.is_full |= self.is_nearly_full();
            return Err(StoreError::NoSpace);
        }
        Ok(())
    }

    /// Whether little would be free with all history given up.
    pub(super) const fn is_nearly_full(&self) -> bool {
        self.live > self.quota / 10 * 9
    }

    /// Ends the alarm about too little room, until the next write that is refused. Returns whether there was one.
    pub(crate) const fn disarm(&mut self) -> bool {
        std::mem::replace(&mut self.is_full, false)
    }

    /// By how many bytes a command may pass the quota.
    pub(crate) fn shortage(&self, command: &WriteCommand) -> u64 {
        let growth = match size::most_growth(self.applied_view(), command) {
            0 => return 0,
            growth => growth,
        };
        self.bytes.saturating_add(growth).saturating_sub(self.quota)
    }

    /// The revision to compact at so that a command that passes the quota by so much fits, when giving up history is enough for that; with a
    /// twentieth of the quota to spare if there is as much, so that the next writes need no compaction each.
    pub(crate) fn compaction_for(&self, shortage: u64) -> Option<i64> {
        if shortage == 0 {
            return None;
        }
        self.revision_that_frees(shortage, shortage.saturating_add(self.quota / 20))
    }

    /// The revision to compact at when there is a tenth more history than is to be kept.
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

    /// The first revision at which a compaction frees `wanted` bytes, or the last one if that frees `least`.
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
