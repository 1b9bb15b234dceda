//! A small store for tests, built from the keys that real hosts and clients write.

use std::time::Duration;

use leasehold_lock::{FeedItem, KeyChange, KeyValue, LeaseId, Revision, StoreHealth, Token};
use leasehold_records::fixtures::{host_record, job_record, run_record};
use leasehold_records::{
    HolderRecord, HostRecord, JobRecord, JobState, Outcome, Progress, Root, RunKey, RunRecord,
    UnixMs,
};

use super::{KeyScope, Model};
use crate::fact::{Fact, FactKind};

/// First moment of fixtures: 2026-01-02 12:00:00 UTC.
pub(crate) const BEGAN: UnixMs = UnixMs::new(1_767_355_200_000);

/// Sends the facts of a store to a model.
pub(crate) struct FixtureStore {
    pub(crate) model: Model,
    pub(crate) now: UnixMs,
    pub(crate) revision: Revision,
    root: Root,
}

impl FixtureStore {
    /// An empty store, at revision 1000.
    pub(crate) fn new() -> Self {
        let mut store = Self::unread();
        store.reading(Vec::new());
        store
    }

    /// A store that has not been read.
    pub(crate) fn unread() -> Self {
        let root = Root::default();
        let scope = KeyScope::new(root.clone(), vec!["/legacy/".into()]);
        Self {
            model: Model::bounded(scope, 1_000, 1_000),
            now: BEGAN,
            revision: Revision::new(1_000),
            root,
        }
    }

    pub(crate) fn send(&mut self, kind: FactKind) {
        let at = self.now;
        self.model.apply(Fact {
            at_unix_ms: at,
            kind,
        });
    }

    pub(crate) fn reading(&mut self, keys: Vec<KeyValue>) {
        let revision = self.revision;
        self.send(FactKind::Keys(FeedItem::Reading { revision, keys }));
    }

    pub(crate) fn after(&mut self, millis: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_millis(millis));
        self
    }

    /// Passes over this many revisions, as changes of keys that are not shown do.
    pub(crate) fn skip(&mut self, revisions: i64) {
        self.revision = Revision::new(self.revision.get() + revisions);
    }

    /// Changes keys at one revision: `None` deletes.
    pub(crate) fn change(&mut self, keys: Vec<(String, Option<KeyValue>)>) -> Revision {
        self.revision = self.revision.next();
        let revision = self.revision;
        let changes = keys.into_iter().map(|(key, now)| KeyChange {
            key,
            revision,
            now: now.map(|now| KeyValue {
                mod_revision: revision,
                create_revision: if now.create_revision.is_none() {
                    revision
                } else {
                    now.create_revision
                },
                ..now
            }),
        });
        let changes = changes.collect();
        self.send(FactKind::Keys(FeedItem::Changes { revision, changes }));
        revision
    }

    pub(crate) fn put(&mut self, key: &str, value: &[u8], lease: i64) -> Revision {
        self.change(vec![(key.to_owned(), Some(kv(key, value, lease)))])
    }

    pub(crate) fn delete(&mut self, keys: &[&str]) -> Revision {
        self.change(keys.iter().map(|key| ((*key).to_owned(), None)).collect())
    }

    /// Key of an entry.
    pub(crate) fn key(&self, lock: &str, lease: i64) -> String {
        format!("{}/{lease:x}", self.root.lock(lock))
    }

    /// A job of a host joins a queue; returns its token.
    pub(crate) fn join(&mut self, lock: &str, job: &str, host: &str, lease: i64) -> Revision {
        let record = HolderRecord {
            host: host.into(),
            job: job.into(),
            pid: 4242,
            since_unix_ms: self.now,
        };
        let key = self.key(lock, lease);
        self.put(&key, &record.to_json(), lease)
    }

    /// Another client joins a queue.
    pub(crate) fn join_other(&mut self, lock: &str, lease: i64) -> Revision {
        let key = self.key(lock, lease);
        self.put(&key, b"", lease)
    }

    pub(crate) fn leave(&mut self, lock: &str, lease: i64) -> Revision {
        let key = self.key(lock, lease);
        self.delete(&[&key])
    }

    pub(crate) fn host(&mut self, host: &str, lease: i64, jobs: &[&str]) -> Revision {
        let record = HostRecord {
            pid: 4242,
            started_unix_ms: self.now,
            ..host_record(host, jobs)
        };
        let key = self.root.host(host);
        self.put(&key, &record.to_json(), lease)
    }

    pub(crate) fn job(
        &mut self,
        job: &str,
        host: &str,
        lock: &str,
        state: JobState,
        token: Option<Revision>,
    ) -> Revision {
        let running = state == JobState::Running;
        let record = JobRecord {
            lock: lock.into(),
            since_unix_ms: self.now,
            token: token.map(Token::from),
            next_unix_ms: (state == JobState::Sleeping)
                .then_some(self.now.after(Duration::from_secs(30))),
            last: (!running).then_some(Outcome::Done),
            progress: running.then(|| Progress {
                done: 118,
                total: Some(240),
                message: "batches".into(),
            }),
            ..job_record(job, host, state)
        };
        let key = self.root.job(job, host);
        self.put(&key, &record.to_json(), 0x77)
    }

    /// A run with its record: under way, or ended now.
    pub(crate) fn run(
        &mut self,
        job: &str,
        host: &str,
        lock: &str,
        token: Revision,
        outcome: Outcome,
    ) -> Revision {
        let token = Token::from(token);
        let record = RunRecord {
            lock: lock.into(),
            started_unix_ms: self.now.before(Duration::from_secs(2)),
            ended_unix_ms: (outcome != Outcome::Running).then_some(self.now),
            outcome,
            detail: match outcome {
                Outcome::Lost => "the lease ended".into(),
                _ => String::new(),
            },
            calls_admitted: 41,
            peak_memory_bytes: 12 << 20,
            output: "opened with total 8000\nprocessed batch 118/240".into(),
            ..run_record(job, host, token.get())
        };
        let key = RunKey {
            job: job.into(),
            token,
            sequence: 0,
        };
        let key = self.root.run(&key);
        self.put(&key, &record.to_json(), 0)
    }

    pub(crate) fn ttl(&mut self, lease: i64, left: u64, granted: u64) {
        self.send(FactKind::Ttl(LeaseId::new(lease), Some((left, granted))));
    }

    pub(crate) fn healthy(&mut self) {
        let health = StoreHealth {
            version: "3.5.1".into(),
            members: 3,
            leader: "m2".into(),
            revision: self.revision,
            data_bytes: 20_480,
            round_trip: Duration::from_millis(4),
        };
        self.send(FactKind::Health(Ok(health)));
    }
}

/// A key whose revisions are filled in when it is sent.
pub(crate) fn kv(key: &str, value: &[u8], lease: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.to_vec(),
        create_revision: Revision::NONE,
        mod_revision: Revision::NONE,
        lease: LeaseId::new(lease),
    }
}
