//! The journal: what the host writes about itself into the store.
//!
//! One task writes, behind a bounded queue, and goes on trying while the store is away. Nothing that
//! runs ever waits for it: a record is for people, and a run must not be slower, or end otherwise,
//! because somebody wants to read about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Backoff, Kv, Locks, Refusal, StoreError};
use leasehold_records::{HostRecord, JobRecord, Outcome, Root, RunKey, RunRecord};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Records that may wait for the task.
const DEPTH: usize = 4096;
/// Runs kept for each job.
const HISTORY: usize = 100;
/// Earlier runs looked at for ones whose host vanished.
const LOOK_BACK: usize = 3;
/// How long shutting down waits for the last records.
const LAST_WORDS: Duration = Duration::from_secs(2);

enum Note {
    Host(HostRecord),
    Job(JobRecord),
    JobGone { job: String, host: String },
    RunStarted(RunRecord),
    RunEnded(RunRecord),
}

/// The way into the journal. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    notes: mpsc::Sender<Note>,
}

/// The task behind it.
pub(crate) struct JournalTask {
    handle: JoinHandle<()>,
}

impl Journal {
    /// Starts writing under `root`, on the lease for `ttl`.
    pub(crate) fn start(locks: Locks, root: Root, ttl: Duration) -> (Self, JournalTask) {
        let (notes, inbox) = mpsc::channel(DEPTH);
        let writer = Writer {
            kv: locks.kv(),
            locks,
            root,
            ttl,
            lease: None,
            standing: BTreeMap::new(),
            dirty: BTreeSet::new(),
            gone: BTreeSet::new(),
            runs: VecDeque::new(),
        };
        let handle = tokio::spawn(writer.run(inbox));
        (Self { notes }, JournalTask { handle })
    }

    fn note(&self, note: Note) {
        // Full only when the store has been away for thousands of records; the event log has them.
        if self.notes.try_send(note).is_err() {
            tracing::warn!("a record was dropped: the store has not taken any for too long");
        }
    }

    pub(crate) fn host(&self, record: HostRecord) {
        self.note(Note::Host(record));
    }

    pub(crate) fn job(&self, record: JobRecord) {
        self.note(Note::Job(record));
    }

    /// Takes back what stands of a job that this host has no more.
    pub(crate) fn job_gone(&self, job: String, host: String) {
        self.note(Note::JobGone { job, host });
    }

    pub(crate) fn run_started(&self, record: RunRecord) {
        self.note(Note::RunStarted(record));
    }

    pub(crate) fn run_ended(&self, record: RunRecord) {
        self.note(Note::RunEnded(record));
    }
}

impl JournalTask {
    /// Ends it with what has been written so far, for a host that will write no more.
    pub(crate) fn abandon(self) {
        self.handle.abort();
    }

    /// Waits until everything noted is written, but not for long. Every [`Journal`] must be gone.
    pub(crate) async fn finish(mut self) {
        if tokio::time::timeout(LAST_WORDS, &mut self.handle)
            .await
            .is_err()
        {
            tracing::warn!("the last records could not be written");
            self.handle.abort();
        }
    }
}

struct Writer {
    kv: Kv,
    locks: Locks,
    root: Root,
    ttl: Duration,
    lease: Option<i64>,
    /// Records that stand while this host lives, and are written again under a new lease.
    standing: BTreeMap<String, Vec<u8>>,
    dirty: BTreeSet<String>,
    /// Records that must not stand any more.
    gone: BTreeSet<String>,
    /// Each with whether it is the first that is written of its run.
    runs: VecDeque<(RunRecord, bool)>,
}

impl Writer {
    async fn run(mut self, mut inbox: mpsc::Receiver<Note>) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut closed = false;
        loop {
            if self.is_clean() {
                match inbox.recv().await {
                    Some(note) => self.take(note),
                    None => return,
                }
            }
            // Several changes of one job become one write.
            loop {
                match inbox.try_recv() {
                    Ok(note) => self.take(note),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => {
                        closed = true;
                        break;
                    }
                }
            }
            match self.write().await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::debug!(%error, "cannot write records");
                    if closed && !error.is_unknown() {
                        return;
                    }
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.gone.is_empty() && self.runs.is_empty()
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Host(record) => self.stand(self.root.host(&record.host), record.to_json()),
            Note::Job(record) => {
                self.stand(self.root.job(&record.job, &record.host), record.to_json());
            }
            Note::JobGone { job, host } => {
                let key = self.root.job(&job, &host);
                self.standing.remove(&key);
                self.dirty.remove(&key);
                self.gone.insert(key);
            }
            Note::RunStarted(record) => self.runs.push_back((record, true)),
            Note::RunEnded(record) => {
                // A start that was never written need not be; its tidying up is still to be done.
                let unwritten = self.runs.len();
                self.runs.retain(|(other, _)| other.run_id != record.run_id);
                let first = self.runs.len() < unwritten;
                self.runs.push_back((record, first));
            }
        }
        if self.runs.len() > DEPTH {
            self.runs.pop_front();
            tracing::warn!("the oldest unwritten run record was dropped");
        }
    }

    fn stand(&mut self, key: String, json: Vec<u8>) {
        self.gone.remove(&key);
        self.standing.insert(key.clone(), json);
        self.dirty.insert(key);
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        while let Some((record, first)) = self.runs.front() {
            let key = run_key(record);
            let json = record.to_json();
            let first = *first;
            self.kv.put(&self.root.run(&key), &json, 0).await?;
            let record = self.runs.pop_front();
            if first && let Some((record, _)) = record {
                self.tidy(&record, &key).await?;
            }
        }
        while let Some(key) = self.gone.first().cloned() {
            self.kv.delete(&key).await?;
            self.gone.remove(&key);
        }
        while let Some(key) = self.dirty.first().cloned() {
            let lease = match self.lease {
                Some(lease) => lease,
                None => self.locks.lease(self.ttl).await?,
            };
            self.lease = Some(lease);
            let json = self.standing.get(&key).cloned().unwrap_or_default();
            match self.kv.put(&key, &json, lease).await {
                Ok(_) => {
                    self.dirty.remove(&key);
                }
                Err(error) => {
                    if let StoreError::Refused {
                        kind: Refusal::LeaseNotFound,
                        ..
                    } = error
                    {
                        // Our old lease took every standing record with it.
                        self.lease = None;
                        self.dirty = self.standing.keys().cloned().collect();
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Keeps the history bounded, and ends the records of runs whose host vanished: this run holds
    /// the lock, so an earlier one under the same lock cannot be running.
    async fn tidy(&self, record: &RunRecord, key: &RunKey) -> Result<(), StoreError> {
        let keys = self.kv.keys(&self.root.runs_of(&record.job)).await?;
        let own = self.root.run(key);
        let earlier: Vec<&String> = keys.iter().filter(|other| **other < own).collect();
        for key in earlier.iter().rev().take(LOOK_BACK) {
            let Some(found) = self.kv.get(key).await? else {
                continue;
            };
            let Ok(mut old) = RunRecord::from_json(&found.value) else {
                continue;
            };
            if old.outcome == Outcome::Running
                && old.lock == record.lock
                && old.token < record.token
            {
                old.outcome = Outcome::Abandoned;
                old.detail = format!(
                    "no end was recorded; host {} vanished or could not reach the store",
                    old.host
                );
                self.kv
                    .compare_and_put(key, found.mod_revision, &old.to_json())
                    .await?;
            }
        }
        if keys.len() > HISTORY
            && let (Some(oldest), Some(end)) = (keys.first(), keys.get(keys.len() - HISTORY))
        {
            self.kv.delete_range(oldest, end).await?;
        }
        Ok(())
    }
}

fn run_key(record: &RunRecord) -> RunKey {
    RunKey {
        job: record.job.clone(),
        token: record.token,
        sequence: record.sequence,
    }
}

/// Milliseconds since 1970, for people.
pub(crate) fn unix_ms(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// The text of an `Arc<str>`, for records.
pub(crate) fn text(shared: &Arc<str>) -> String {
    shared.as_ref().to_owned()
}
