//! [`JobTable`]: the jobs of one host, up to a bound.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;

use crate::metrics::JobMetrics;

/// Number of jobs of one host that have series of their own.
pub const MOST_JOBS: usize = 2_000;

/// Name of the series that all further jobs share. No job can have it: names begin with a letter or digit.
pub(crate) const OTHER_JOBS: &str = "_other";

/// The jobs of one host.
#[derive(Debug, Default)]
pub(crate) struct JobTable {
    jobs: RwLock<BTreeMap<Arc<str>, Arc<JobMetrics>>>,
    /// Events and states of jobs that have no series of their own.
    pub(crate) cut: Counter,
}

impl JobTable {
    /// Returns the metrics of a job, or those shared by all jobs beyond the bound.
    pub(crate) fn job(&self, name: &str) -> Arc<JobMetrics> {
        let known = self.find(name);
        known.unwrap_or_else(|| self.insert(name, || JobMetrics::new(true)))
    }

    /// As [`JobTable::job`]; `None` for a job that is not known, as one that was removed.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<JobMetrics>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        let (known, is_full) = (jobs.get(name).cloned(), jobs.len() >= MOST_JOBS);
        drop(jobs);
        if known.is_none() && is_full {
            self.cut.inc();
            return Some(self.insert(OTHER_JOBS, || JobMetrics::new(false)));
        }
        known
    }

    fn insert(&self, name: &str, new: impl FnOnce() -> JobMetrics) -> Arc<JobMetrics> {
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(new());
        jobs.entry(name.into()).or_insert_with(new).clone()
    }

    /// Removes a job that is gone, and its series.
    pub(crate) fn remove(&self, name: &str) {
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(name);
    }

    /// Returns all jobs, by name.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<JobMetrics>)> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.iter()
            .map(|(name, job)| (name.clone(), job.clone()))
            .collect()
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
