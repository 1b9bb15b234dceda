//! Counts of locks by state.

use crate::model::{LockRow, LockState};

/// Counts of locks by state, for the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateCounts {
    pub(crate) locks: usize,
    pub(crate) held: usize,
    pub(crate) waiting: usize,
    pub(crate) expiring: usize,
    pub(crate) takeover: usize,
}

impl StateCounts {
    /// Counts a lock that is held.
    pub(super) fn add(&mut self, row: &LockRow<'_>) {
        self.locks += 1;
        self.held += 1;
        self.waiting += row.waiters;
        self.expiring += usize::from(row.state == LockState::Expiring);
        self.takeover += usize::from(row.state == LockState::Takeover);
    }
}
