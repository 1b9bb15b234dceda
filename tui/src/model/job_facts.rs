//! Facts from which the states of jobs are explained, in the words of `leasehold explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leasehold_lock::QueueRole;
use leasehold_records::explain::{QueueFact, StoreFacts};
use leasehold_records::{
    ControlKey, HoldMark, HolderRecord, HostRecord, JobRecord, Root, UnixMs, lock_names, printable,
};

use super::entry_owner::EntryOwner;
use super::queue_entry::QueueEntry;
use super::store_state::StoreState;

/// Records by job and host.
pub(crate) type JobRecords = BTreeMap<(String, String), Arc<JobRecord>>;

impl StoreState {
    /// Collects the facts about these jobs: their records and queues, and pauses and drains. Hosts are left out.
    pub(crate) fn facts_about<'j>(
        &self,
        root: &Root,
        jobs: impl IntoIterator<Item = &'j str>,
    ) -> StoreFacts {
        let mut records = JobRecords::new();
        for job in jobs {
            records.extend(self.records_of(job));
        }
        let locks = records.values().flat_map(|job| lock_names(&job.lock));
        let locks: BTreeSet<String> = locks.map(str::to_owned).collect();
        let mut queues = BTreeMap::new();
        for name in locks {
            let Some(lock) = self.locks.get(root.lock(&name).as_str()) else {
                continue;
            };
            // The record of the holder's job has the time since when it holds.
            if let Some(EntryOwner::Job { job, host }) = lock.holder().map(|entry| &entry.who) {
                let key = (job.to_string(), host.to_string());
                let record = self.jobs.get(&key).cloned();
                records.extend(record.map(|record| (key, record)));
            }
            queues.insert(name, lock.queue.roles().map(queue_fact).collect());
        }
        let records = records.into_values().map(|job| (*job).clone()).collect();
        let mut facts = StoreFacts::new(Vec::new(), records);
        facts.queues = queues;
        self.add_holds(&mut facts);
        facts
    }

    /// Collects the facts about one job, with the hosts that have it.
    pub(crate) fn facts_of(&self, root: &Root, job: &str) -> StoreFacts {
        let mut facts = self.facts_about(root, [job]);
        facts.hosts = self
            .hosts
            .values()
            .map(|host| with_this_job(&host.record, job))
            .collect();
        facts
    }

    /// The records of a job by their keys. Its name in the keys may differ: that in the records is printable.
    pub(crate) fn records_of(&self, job: &str) -> JobRecords {
        let from = (job.to_owned(), String::new());
        let records = self.jobs.range(from..);
        let records = records.take_while(|((name, _), _)| name == job);
        let exact: JobRecords = records.map(owned).collect();
        if !exact.is_empty() {
            return exact;
        }
        let named = self.jobs.iter().filter(|(_, record)| record.job == job);
        named.map(owned).collect()
    }

    /// The pause of a job or of all jobs that is in force.
    pub(crate) fn pause_of(&self, job: Option<&str>, now: UnixMs) -> Option<&HoldMark> {
        let key = job.map_or(ControlKey::All, |job| ControlKey::Job(job.to_owned()));
        self.hold_at(&key, now)
    }

    /// The drain of a host that is in force.
    pub(crate) fn drain_of(&self, host: &str, now: UnixMs) -> Option<&HoldMark> {
        self.hold_at(&ControlKey::Host(host.to_owned()), now)
    }

    /// The hosts with a drain in force.
    pub(crate) fn drained_hosts(&self, now: UnixMs) -> Vec<String> {
        let drained = self.holds.iter().filter(|(_, mark)| mark.is_in_force(now));
        drained
            .filter_map(|(key, _)| match key {
                ControlKey::Host(host) => Some(host.clone()),
                _ => None,
            })
            .collect()
    }

    fn hold_at(&self, key: &ControlKey, now: UnixMs) -> Option<&HoldMark> {
        let mark = self.holds.get(key)?;
        mark.is_in_force(now).then_some(&**mark)
    }

    fn add_holds(&self, facts: &mut StoreFacts) {
        for (key, mark) in &self.holds {
            let mark = HoldMark::clone(mark);
            match key {
                ControlKey::All => facts.pause_of_all = Some(mark),
                ControlKey::Job(job) => drop(facts.pauses.insert(printable::line(job), mark)),
                ControlKey::Host(host) => drop(facts.drains.insert(printable::line(host), mark)),
                ControlKey::Stop(..) | ControlKey::Trigger(..) => {}
            }
        }
    }
}

fn owned(
    (key, record): (&(String, String), &Arc<JobRecord>),
) -> ((String, String), Arc<JobRecord>) {
    (key.clone(), record.clone())
}

/// A host's record with one job at most: copying all names of all hosts for each frame would take too long.
fn with_this_job(host: &HostRecord, job: &str) -> HostRecord {
    HostRecord {
        host: host.host.clone(),
        pid: host.pid,
        version: host.version.clone(),
        started_unix_ms: host.started_unix_ms,
        jobs: host
            .jobs
            .iter()
            .filter(|has| *has == job)
            .cloned()
            .collect(),
        files: String::new(),
    }
}

fn queue_fact((role, entry): (QueueRole, &Arc<QueueEntry>)) -> QueueFact {
    let (owner, text) = match &entry.who {
        EntryOwner::Job { job, host } => {
            let owner = HolderRecord {
                host: host.to_string(),
                job: job.to_string(),
                pid: 0,
                since_unix_ms: entry.since_unix_ms.unwrap_or_default(),
            };
            (Some(owner), String::new())
        }
        EntryOwner::Other { said, .. } | EntryOwner::Hold { said, .. } => (None, said.to_string()),
    };
    QueueFact {
        key: entry.key.to_string(),
        token: entry.token(),
        is_holder: role.is_holder(),
        is_administrative: entry.lease.is_none(),
        owner,
        text,
    }
}
