//! A reading of a store: hosts, jobs, ticks, operators' decisions and queues, for commands that show or explain them.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_lock::queue_role::{holders, with_roles};
use leasehold_lock::{
    LockMode, QueueEntry, QueueRole, QueuedEntry, RefusalKind, Revision, StoreError, Token,
    ViewFreshness,
};
use leasehold_records::explain::{QueueFact, StoreFacts};
use leasehold_records::{
    ControlKey, HoldMark, HolderRecord, HostControl, HostRecord, JobControl, JobRecord, TickRecord,
    printable,
};
use serde::Serialize;

use crate::absent_host::AbsentHost;
use crate::failure::Failure;
use crate::known_hosts::unknown_host;
use crate::known_jobs::unknown_job;
use crate::record_reader::{RecordReader, is_denied, records, unread};
use crate::sink;

/// Number of prefixes that are read.
const PARTS: usize = 5;

/// Records and queues of a store.
pub(crate) struct StoreReading {
    /// Revision of the queues; `None` if they may not be read.
    pub(crate) revision: Option<Revision>,
    pub(crate) hosts: Vec<HostRecord>,
    pub(crate) jobs: Vec<JobRecord>,
    pub(crate) ticks: Vec<TickRecord>,
    pub(crate) locks: Vec<LockStatus>,
    controls: Controls,
    queues: BTreeMap<String, Vec<QueueFact>>,
    /// Prefixes that this user of the store may not read.
    pub(crate) not_permitted: Vec<String>,
}

/// A lock and its queue.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LockStatus {
    pub(crate) lock: String,
    /// Its permits, if its holders have permits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permits: Option<PermitUse>,
    pub(crate) entries: Vec<EntryStatus>,
}

/// The permits of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PermitUse {
    /// Those that its holders have.
    pub(crate) held: u32,
    /// All.
    pub(crate) of: u32,
}

impl PermitUse {
    /// Counts the permits of these entries, the holders of a lock.
    pub(crate) fn count<T: QueuedEntry>(holders: &[T]) -> Option<Self> {
        let modes = || holders.iter().map(QueuedEntry::mode);
        let of = modes().find_map(LockMode::capacity)?;
        let weights = modes().map(|mode| match mode {
            LockMode::Permits(permits) => permits.weight(),
            LockMode::Exclusive | LockMode::Shared => 0,
        });
        let held = weights.sum();
        Some(Self { held, of })
    }
}

/// An entry of a queue.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EntryStatus {
    pub(crate) key: String,
    pub(crate) token: Token,
    pub(crate) lease: String,
    /// The way it takes part in the lock.
    #[serde(skip_serializing_if = "LockMode::is_exclusive")]
    pub(crate) mode: LockMode,
    /// Seconds left of the holder's lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_s: Option<u64>,
    /// Put there by hand, without a lease: it stays until it is deleted.
    pub(crate) administrative: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
}

impl QueuedEntry for EntryStatus {
    fn mode(&self) -> LockMode {
        self.mode
    }
}

/// Operators' decisions.
#[derive(Default)]
struct Controls {
    pauses: BTreeMap<String, HoldMark>,
    pause_of_all: Option<HoldMark>,
    drains: BTreeMap<String, HoldMark>,
}

impl StoreReading {
    /// Reads everything that this user of the store may read.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or this user may read nothing of it.
    pub(crate) async fn read(reader: &RecordReader) -> Result<Self, StoreError> {
        let kv = reader.locks.kv();
        let root = &reader.root;
        let mut denied = Vec::new();
        let hosts = records(&kv, &root.hosts(), &mut denied).await?;
        let jobs = records(&kv, &root.jobs(), &mut denied).await?;
        let ticks = records(&kv, &root.ticks(), &mut denied).await?;
        let mut controls = Controls::default();
        for entry in records(&kv, &root.control(), &mut denied).await? {
            controls.take(root.parse_control(&entry.key), &entry.value);
        }
        let mut reading = Self {
            revision: None,
            hosts: hosts
                .iter()
                .filter_map(|kv| HostRecord::from_json(&kv.value).ok())
                .collect(),
            jobs: jobs
                .iter()
                .filter_map(|kv| JobRecord::from_json(&kv.value).ok())
                .collect(),
            ticks: ticks
                .iter()
                .filter_map(|kv| TickRecord::from_json(&kv.value).ok())
                .collect(),
            locks: Vec::new(),
            controls,
            queues: BTreeMap::new(),
            not_permitted: denied,
        };
        match kv.first_key(&root.locks()).await {
            Err(error) if is_denied(&error) => reading.not_permitted.push(root.locks()),
            Err(error) => return Err(error),
            Ok(_) => reading.read_locks(reader).await?,
        }
        if reading.not_permitted.len() == PARTS {
            return Err(StoreError::Refused {
                kind: RefusalKind::Denied,
                message: format!("not permitted to read {}", reading.not_permitted.join(", ")),
            });
        }
        Ok(reading)
    }

    /// Reads every lock with its queue, and the revision of that reading.
    async fn read_locks(&mut self, reader: &RecordReader) -> Result<(), StoreError> {
        let mut view = reader.locks.view(reader.root.locks());
        while *view.freshness() != ViewFreshness::Live {
            if view.next().await.is_none() {
                break;
            }
            if let ViewFreshness::Stale { reason } = view.freshness() {
                return Err(StoreError::Unknown(reason.clone()));
            }
        }
        for (name, entries) in view.queues() {
            let mut shown = Vec::new();
            for (role, entry) in with_roles(entries) {
                let ttl = if role.is_holder() && !entry.is_administrative() {
                    match reader.locks.lease_ttl(entry.lease).await {
                        // A missing permission hides the time that is left, and nothing else.
                        Err(error) if is_denied(&error) => None,
                        answer => answer?.map(|(left, _)| left),
                    }
                } else {
                    None
                };
                shown.push(entry_status(entry, ttl));
            }
            let lock = reader.root.lock_name(name).unwrap_or(name).to_owned();
            let facts = with_roles(entries).map(|(role, entry)| queue_fact(role, entry));
            let facts = facts.collect();
            self.queues.insert(lock.clone(), facts);
            self.locks.push(LockStatus {
                lock,
                permits: PermitUse::count(holders(entries)),
                entries: shown,
            });
        }
        self.revision = Some(view.revision());
        Ok(())
    }

    /// Returns the facts from which the states of jobs are explained.
    pub(crate) fn facts(&self) -> StoreFacts {
        let mut facts = StoreFacts::new(self.hosts.clone(), self.jobs.clone());
        facts.queues.clone_from(&self.queues);
        facts.pauses.clone_from(&self.controls.pauses);
        facts.pause_of_all.clone_from(&self.controls.pause_of_all);
        facts.drains.clone_from(&self.controls.drains);
        facts
    }

    /// Returns the names of the jobs that live hosts have.
    pub(crate) fn job_names(&self) -> BTreeSet<String> {
        let of_hosts = self.hosts.iter().flat_map(|host| host.jobs.clone());
        let recorded = self.jobs.iter().map(|record| record.job.clone());
        of_hosts.chain(recorded).collect()
    }

    /// Returns the names of the hosts that it shows: those that live or are drained.
    fn host_names(&self) -> BTreeSet<String> {
        let alive = self.hosts.iter().map(|host| host.host.clone());
        let recorded = self.jobs.iter().map(|record| record.host.clone());
        let drained = self.controls.drains.keys().cloned();
        alive.chain(recorded).chain(drained).collect()
    }

    /// Returns the hosts that are drained and do not run.
    pub(crate) fn absent_hosts(&self) -> Vec<AbsentHost> {
        let is_recorded = |host: &str| {
            self.hosts.iter().any(|record| record.host == host)
                || self.jobs.iter().any(|record| record.host == host)
        };
        let drains = self.controls.drains.iter();
        let absent = drains.filter(|(host, _)| !is_recorded(host));
        let absent = absent.map(|(host, drain)| AbsentHost {
            host: host.clone(),
            drain: drain.clone(),
        });
        absent.collect()
    }

    /// Returns an error for a job or a host that nothing knows. The store is read again only for one that this reading
    /// does not show.
    pub(crate) async fn refuse_unknown(
        &self,
        reader: &RecordReader,
        jobs: &[String],
        host: Option<&str>,
    ) -> Result<(), Failure> {
        let (kv, known) = (reader.locks.kv(), self.job_names());
        for job in jobs.iter().filter(|job| !known.contains(*job)) {
            let unknown = unknown_job(&kv, &reader.root, reader.config.jobs(), job).await;
            if let Some(failure) = unknown.map_err(|error| unread(&error))? {
                return Err(failure);
            }
        }
        match host {
            Some(host) if !self.host_names().contains(host) => {
                let unknown = unknown_host(&kv, &reader.root, host).await;
                unknown.map_err(|error| unread(&error))?.map_or(Ok(()), Err)
            }
            _ => Ok(()),
        }
    }

    /// Prints a warning about prefixes that may not be read.
    pub(crate) fn warn_not_permitted(&self) {
        for prefix in &self.not_permitted {
            let prefix = printable::line(prefix);
            sink::print_warning(&format!(
                "warning: not permitted to read {prefix}: it is left out\n"
            ));
        }
    }
}

impl Controls {
    /// Takes the decision under one key.
    fn take(&mut self, key: Option<ControlKey>, value: &[u8]) {
        let pause = || JobControl::from_json(value).ok()?.pause;
        match key {
            Some(ControlKey::All) => self.pause_of_all = pause(),
            Some(ControlKey::Job(job)) => self.pauses.extend(pause().map(|mark| (job, mark))),
            Some(ControlKey::Host(host)) => {
                let control = HostControl::from_json(value).ok();
                let drain = control.and_then(|control| control.drain);
                self.drains.extend(drain.map(|drain| (host, drain.mark)));
            }
            Some(ControlKey::Stop(..) | ControlKey::Trigger(..)) | None => {}
        }
    }
}

fn entry_status(entry: &QueueEntry, ttl_s: Option<u64>) -> EntryStatus {
    let owner = HolderRecord::from_json(&entry.value).ok();
    EntryStatus {
        key: entry.key.clone(),
        token: entry.create_revision.into(),
        lease: entry.lease.to_string(),
        mode: entry.mode(),
        ttl_s,
        administrative: entry.is_administrative(),
        host: owner.as_ref().map(|owner| owner.host.clone()),
        job: owner.map(|owner| owner.job),
    }
}

fn queue_fact(role: QueueRole, entry: &QueueEntry) -> QueueFact {
    let owner = HolderRecord::from_json(&entry.value).ok();
    let text = match owner {
        Some(_) => String::new(),
        None => printable::bytes(&entry.value),
    };
    QueueFact {
        key: entry.key.clone(),
        token: entry.create_revision.into(),
        is_holder: role.is_holder(),
        is_administrative: entry.is_administrative(),
        owner,
        text,
    }
}
