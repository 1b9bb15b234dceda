//! Facts about a store from which a job's state is explained: records, controls and queues, as a reader has them.

use std::collections::BTreeMap;

use leasehold_ids::Token;

use crate::control::HoldMark;
use crate::holder::HolderRecord;
use crate::host::HostRecord;
use crate::job::JobRecord;

/// An entry of a lock's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFact {
    /// The full key.
    pub key: String,
    /// Its create revision: the fencing token.
    pub token: Token,
    /// True for an entry that holds the lock, alone or beside others.
    pub is_holder: bool,
    /// True for an entry without a lease, which an operator put there by hand.
    pub is_administrative: bool,
    /// The waiter or holder that its value names.
    pub owner: Option<HolderRecord>,
    /// The value, if it names no owner.
    pub text: String,
}

/// Facts about all jobs of a store.
#[derive(Clone, Debug, Default)]
pub struct StoreFacts {
    /// The live hosts.
    pub hosts: Vec<HostRecord>,
    /// Jobs on hosts, ordered by job and host.
    jobs: Vec<JobRecord>,
    /// Queues by the short names of their locks, each in order.
    pub queues: BTreeMap<String, Vec<QueueFact>>,
    /// Pauses, by job.
    pub pauses: BTreeMap<String, HoldMark>,
    /// The pause of all jobs.
    pub pause_of_all: Option<HoldMark>,
    /// Drains, by host. A host that is drained in full ends.
    pub drains: BTreeMap<String, HoldMark>,
}

impl StoreFacts {
    /// Returns facts about these hosts and jobs, without queues and controls.
    pub fn new(hosts: Vec<HostRecord>, mut jobs: Vec<JobRecord>) -> Self {
        jobs.sort_by(|a, b| (&a.job, &a.host).cmp(&(&b.job, &b.host)));
        Self {
            hosts,
            jobs,
            ..Self::default()
        }
    }

    /// Returns the records of one job, ordered by host.
    pub fn records_of(&self, job: &str) -> &[JobRecord] {
        let begin = self
            .jobs
            .partition_point(|record| record.job.as_str() < job);
        let end = self
            .jobs
            .partition_point(|record| record.job.as_str() <= job);
        &self.jobs[begin..end]
    }

    /// Returns the record of one job on one host.
    pub fn record(&self, job: &str, host: &str) -> Option<&JobRecord> {
        let mut records = self.records_of(job).iter();
        records.find(|record| record.host == host)
    }

    /// Returns the queue of a lock, in order.
    pub fn queue(&self, lock: &str) -> &[QueueFact] {
        self.queues.get(lock).map_or(&[], Vec::as_slice)
    }
}
