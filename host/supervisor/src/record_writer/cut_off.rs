//! Runs of dead hosts that those hosts did not record: known from the claims of their ticks.
//!
//! Each is written if its key does not exist, one at a time: a takeover is rare.

use std::collections::VecDeque;

use leasehold_records::{Root, RunRecord};

/// Number of runs that may wait. A further one is left out: its claim was logged when it was taken over.
const MOST: usize = 1024;

/// A cut-off run: its key, and its record as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutOffRun {
    pub(super) key: String,
    pub(super) json: Vec<u8>,
}

/// The cut-off runs that wait.
#[derive(Debug, Default)]
pub(super) struct CutOff {
    waiting: VecDeque<CutOffRun>,
    is_under_way: bool,
}

impl CutOff {
    /// Adds another run.
    pub(super) fn note(&mut self, root: &Root, record: &RunRecord) {
        if self.waiting.len() < MOST {
            self.waiting.push_back(CutOffRun {
                key: root.run(&record.key()),
                json: record.to_json(),
            });
        }
    }

    /// Returns the run to write now, if none is being written.
    pub(super) fn begin(&mut self) -> Option<CutOffRun> {
        if self.is_under_way {
            return None;
        }
        let run = self.waiting.pop_front()?;
        self.is_under_way = true;
        Some(run)
    }

    /// Handles the end of a write; `again` is a run whose write failed.
    pub(super) fn ended(&mut self, again: Option<CutOffRun>) {
        self.is_under_way = false;
        if let Some(run) = again {
            self.waiting.push_front(run);
        }
    }

    /// True if another write could begin.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_under_way && !self.waiting.is_empty()
    }

    /// True if nothing is left to write.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.is_under_way
    }
}
