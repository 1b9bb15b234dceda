//! The runs that `runs` shows: those that a filter admits, and the newest of them.

use std::collections::BTreeSet;

use leasehold_config::wall::UnixMs;
use leasehold_lock::KeyValue;
use leasehold_records::RunRecord;

/// Number of hosts' names that are kept for a message.
const MOST_HOSTS: usize = 1000;

/// Conditions on a run.
#[derive(Clone, Debug, Default)]
pub(super) struct RunFilter {
    /// The host it ran on.
    pub(super) host: Option<String>,
    /// True for runs that failed.
    pub(super) is_failure: bool,
    /// The earliest start.
    pub(super) since: Option<UnixMs>,
}

impl RunFilter {
    /// True if the run, or the last of several that share a record, meets all conditions.
    fn admits(&self, run: &RunRecord) -> bool {
        self.host.as_ref().is_none_or(|host| *host == run.host)
            && (!self.is_failure || run.outcome.is_failure())
            && self.since.is_none_or(|since| run.started_unix_ms >= since)
    }
}

/// The newest of many runs, without keeping all of them.
pub(super) struct NewestRuns {
    limit: usize,
    filter: RunFilter,
    runs: Vec<RunRecord>,
    hosts: BTreeSet<String>,
}

impl NewestRuns {
    pub(super) const fn new(limit: usize, filter: RunFilter) -> Self {
        Self {
            limit,
            filter,
            runs: Vec::new(),
            hosts: BTreeSet::new(),
        }
    }

    pub(super) fn take(&mut self, kv: &KeyValue) {
        let Ok(run) = RunRecord::from_json(&kv.value) else {
            return;
        };
        if self.hosts.len() < MOST_HOSTS && !self.hosts.contains(&run.host) {
            self.hosts.insert(run.host.clone());
        }
        if !self.filter.admits(&run) {
            return;
        }
        self.runs.push(run);
        // Sorting once in a while costs less than keeping them in order.
        if self.runs.len() >= self.limit.saturating_mul(2).max(1000) {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        self.runs
            .sort_by_key(|run| std::cmp::Reverse((run.token, run.sequence)));
        self.runs.truncate(self.limit);
    }

    /// True if any record was read, admitted or not.
    pub(super) fn has_seen_any(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Returns the hosts of all records that were read.
    pub(super) const fn hosts(&self) -> &BTreeSet<String> {
        &self.hosts
    }

    pub(super) fn into_runs(mut self) -> Vec<RunRecord> {
        self.shorten();
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::runs::table::tests::run;
    use leasehold_records::Outcome;

    #[test]
    fn filter_admits_by_host_failure_and_start() {
        let (done, exit) = (run(1, Outcome::Done), run(2, Outcome::Exit));
        let whole = RunFilter::default();
        assert!(whole.admits(&done) && whole.admits(&exit));
        let failed = RunFilter {
            is_failure: true,
            ..whole.clone()
        };
        assert!(!failed.admits(&done) && failed.admits(&exit));
        let elsewhere = RunFilter {
            host: Some("host-b".into()),
            ..whole.clone()
        };
        assert!(!elsewhere.admits(&done));
        let later = RunFilter {
            since: Some(UnixMs::new(1_001)),
            ..whole
        };
        assert!(!later.admits(&done));
    }
}
