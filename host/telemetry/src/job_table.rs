//! [`JobTable`]: the jobs of one host, up to a bound.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus_client::metrics::counter::Counter;

use crate::metrics::{ABANDONED, JobMetrics};

/// Number of jobs of one host that have series of their own.
pub const MOST_JOBS: usize = 2_000;

/// Name of the series that all further jobs share. No job can have it: names begin with a letter or digit.
pub(crate) const OTHER_JOBS: &str = "_other";

/// Most jobs that are not known yet and whose abandoned runs are kept.
const MOST_EARLY: usize = 64;

/// The jobs of one host.
#[derive(Debug, Default)]
pub(crate) struct JobTable {
    rows: RwLock<JobRows>,
    /// Events and states of jobs that have no series of their own.
    pub(crate) cut: Counter,
}

#[derive(Debug)]
struct JobRows {
    jobs: BTreeMap<Arc<str>, Arc<JobMetrics>>,
    /// Numbers of abandoned runs of jobs that are not known yet. `None` once a job was removed: a finding may be about
    /// that one.
    early: Option<BTreeMap<Arc<str>, u64>>,
}

impl Default for JobRows {
    fn default() -> Self {
        Self {
            jobs: BTreeMap::new(),
            early: Some(BTreeMap::new()),
        }
    }
}

impl JobTable {
    /// Returns the metrics of a job, or those shared by all jobs beyond the bound.
    pub(crate) fn job(&self, name: &str) -> Arc<JobMetrics> {
        let known = self.find(name);
        known.unwrap_or_else(|| self.insert(name, || JobMetrics::new(true)))
    }

    /// As [`JobTable::job`]; `None` for a job that is not known, as one that was removed.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<JobMetrics>> {
        let rows = self.read();
        let (known, is_full) = (rows.jobs.get(name).cloned(), rows.jobs.len() >= MOST_JOBS);
        drop(rows);
        if known.is_none() && is_full {
            self.cut.inc();
            return Some(self.insert(OTHER_JOBS, || JobMetrics::new(false)));
        }
        known
    }

    /// Counts an abandoned run. It may be found before the first turn of its job, as at the start of a host that was
    /// killed: then it counts as soon as the job is known.
    pub(crate) fn count_abandoned(&self, name: &str) {
        if let Some(job) = self.find(name) {
            return job.count_run(ABANDONED);
        }
        let mut rows = self.write();
        if let Some(job) = rows.jobs.get(name) {
            return job.count_run(ABANDONED);
        }
        let Some(early) = &mut rows.early else {
            return;
        };
        if let Some(runs) = early.get_mut(name) {
            *runs += 1;
        } else if early.len() < MOST_EARLY {
            early.insert(name.into(), 1);
        } else {
            self.cut.inc();
        }
    }

    fn insert(&self, name: &str, new: impl FnOnce() -> JobMetrics) -> Arc<JobMetrics> {
        let mut rows = self.write();
        let early = rows.early.as_mut().and_then(|early| early.remove(name));
        let job = rows.jobs.entry(name.into());
        let job = job.or_insert_with(|| Arc::new(new())).clone();
        for _ in 0..early.unwrap_or_default() {
            job.count_run(ABANDONED);
        }
        job
    }

    /// Removes a job that is gone, and its series.
    pub(crate) fn remove(&self, name: &str) {
        let mut rows = self.write();
        rows.jobs.remove(name);
        rows.early = None;
    }

    /// Returns all jobs, by name.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<JobMetrics>)> {
        let rows = self.read();
        let jobs = rows.jobs.iter();
        jobs.map(|(name, job)| (name.clone(), job.clone()))
            .collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, JobRows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, JobRows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_beyond_the_bound_share_one_series_and_are_counted() {
        let table = JobTable::default();
        for n in 0..MOST_JOBS + 3 {
            table.job(&format!("job-{n}")).calls.inc();
        }
        assert_eq!(table.all().len(), MOST_JOBS + 1);
        assert_eq!(table.cut.get(), 3);
        assert_eq!(table.job(OTHER_JOBS).calls.get(), 3);
        // A job that had its place keeps it.
        table.job("job-0").calls.inc();
        assert_eq!(table.job("job-0").calls.get(), 2);
        table.remove("job-0");
        table.remove("job-1");
        table.job("job-0");
        assert_eq!(table.cut.get(), 3, "a freed place is taken again");
    }
}
