//! Selection of the jobs and hosts that `status` shows. Pure.

use std::collections::BTreeSet;

use leasehold_records::{HostRecord, JobRecord, JobState, TickRecord};

use crate::absent_host::AbsentHost;
use crate::store_reading::LockStatus;

/// The jobs and hosts to show.
pub(super) struct Selection {
    pub(super) jobs: BTreeSet<String>,
    /// The one host to show.
    pub(super) host: Option<String>,
    /// True if nothing is left out.
    pub(super) is_whole: bool,
}

impl Selection {
    /// Leaves out jobs that the one host does not have.
    pub(super) fn keep_jobs_of_host(&mut self, records: &[JobRecord]) {
        if let Some(host) = &self.host {
            let of_host: BTreeSet<&str> = records
                .iter()
                .filter(|record| record.host == *host)
                .map(|record| record.job.as_str())
                .collect();
            self.jobs.retain(|job| of_host.contains(job.as_str()));
        }
    }

    /// Returns the jobs that have ended for good with a failure.
    pub(super) fn failed_for_good(&self, records: &[JobRecord]) -> BTreeSet<String> {
        let failed = records
            .iter()
            .filter(|record| record.state == JobState::Failed && self.shows_host(&record.host));
        failed.map(|record| record.job.clone()).collect()
    }

    fn shows_host(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|only| only == host)
    }

    /// Returns the hosts to show.
    pub(super) fn hosts(&self, hosts: &[HostRecord]) -> Vec<HostRecord> {
        let shown = hosts.iter().filter(|host| {
            let has_job = self.is_whole || host.jobs.iter().any(|job| self.jobs.contains(job));
            self.shows_host(&host.host) && (has_job || self.host.is_some())
        });
        shown.cloned().collect()
    }

    /// Returns the hosts to show of those that do not run: nothing is known of their jobs.
    pub(super) fn absent(&self, mut hosts: Vec<AbsentHost>) -> Vec<AbsentHost> {
        hosts.retain(|absent| match &self.host {
            Some(only) => *only == absent.host,
            None => self.is_whole,
        });
        hosts
    }

    /// Returns the records to show, by job and host.
    pub(super) fn records(&self, records: &[JobRecord]) -> Vec<JobRecord> {
        let shown = records
            .iter()
            .filter(|record| self.jobs.contains(&record.job) && self.shows_host(&record.host));
        shown.cloned().collect()
    }

    /// Returns the ticks to show.
    pub(super) fn ticks(&self, ticks: &[TickRecord]) -> Vec<TickRecord> {
        let shown = ticks
            .iter()
            .filter(|tick| self.is_whole || self.jobs.contains(&tick.job));
        shown.cloned().collect()
    }

    /// Returns the locks to show: all, or those that the jobs and the host are in.
    pub(super) fn locks(&self, locks: &[LockStatus]) -> Vec<LockStatus> {
        let shown = locks.iter().filter(|lock| {
            self.is_whole
                || lock.entries.iter().any(|entry| {
                    let is_of_job = entry
                        .job
                        .as_ref()
                        .is_some_and(|job| self.jobs.contains(job));
                    let is_on_host = entry
                        .host
                        .as_ref()
                        .is_some_and(|host| self.shows_host(host));
                    is_of_job && is_on_host
                })
        });
        shown.cloned().collect()
    }
}
