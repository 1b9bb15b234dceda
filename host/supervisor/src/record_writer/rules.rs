//! The bounds on the history of each job that this host has, shared by the handles and the task.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use leasehold_config::JobHistory;

/// Bounds by job; the defaults for others.
#[derive(Debug, Default)]
pub(super) struct HistoryRules(Mutex<HashMap<String, JobHistory>>);

impl HistoryRules {
    /// Sets the bounds of a job.
    pub(super) fn set(&self, job: &str, history: JobHistory) {
        self.rules().insert(job.to_owned(), history);
    }

    /// Returns the bounds of a job.
    pub(super) fn get(&self, job: &str) -> JobHistory {
        self.rules().get(job).copied().unwrap_or_default()
    }

    /// Returns the largest number of records of a job.
    pub(super) fn most_runs(&self, job: &str) -> usize {
        usize::try_from(self.get(job).runs()).unwrap_or(usize::MAX)
    }

    /// Removes a job that left this host.
    pub(super) fn forget(&self, job: &str) {
        self.rules().remove(job);
    }

    fn rules(&self) -> MutexGuard<'_, HashMap<String, JobHistory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
