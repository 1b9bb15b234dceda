//! [`HostState`]: what one host has reported.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::health::HostHealth;
use crate::job_table::JobTable;
use crate::metrics::HostMetrics;

/// State of one host: its counters, its health and its jobs.
#[derive(Debug)]
pub(crate) struct HostState {
    pub(crate) metrics: HostMetrics,
    pub(crate) jobs: JobTable,
    health: Mutex<HostHealth>,
}

impl HostState {
    pub(crate) fn new() -> Self {
        Self {
            metrics: HostMetrics::new(),
            jobs: JobTable::default(),
            health: Mutex::default(),
        }
    }

    /// Locks the health. For moments only.
    pub(crate) fn health(&self) -> MutexGuard<'_, HostHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what ended with the host: checks, held locks and waits. Counters stay.
    pub(crate) fn clear(&self) {
        for (_, job) in self.jobs.all() {
            job.forget();
        }
    }
}
