//! The journal: what the host writes about itself into the store.
//!
//! One task writes, behind a bounded queue, and goes on trying while the store is away. Nothing that
//! runs ever waits for it: a record is for people, and a run must not be slower, or end otherwise,
//! because of it.
//!
//! - `outbox`: the records that wait, and which of them share a transaction; pure.
//! - `merging`: runs that come too fast for one record each; pure.
//! - `fit`: records cut to their largest size; pure.
//! - `history`: the runs of a job kept bounded, and those that never ended.
//! - `sizes`: how many of a job's records fit their bytes; pure.
//! - `cut_off`: runs of hosts that are gone, known from the claims of their ticks.
//! - `losses`: what was dropped, and how it is reported; pure.
//! - `writer`: the task.

mod cut_off;
mod fit;
mod history;
mod losses;
mod merging;
mod outbox;
mod sizes;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold_lock::Locks;
use leasehold_records::{HostRecord, JobRecord, Root, RunKey, RunRecord};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::writer::Writer;

/// Records on their way to the task, which takes them at once: room for a burst while it is not scheduled.
const DEPTH: usize = 4096;
/// How long shutting down waits for the last records.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Counters that the task and the ways into it share.
#[derive(Debug, Default)]
struct Counts {
    /// Records for which there was no room on their way.
    overflow: AtomicU64,
    /// Records that the task has not written yet.
    waiting: AtomicU64,
}

enum Note {
    Host(HostRecord),
    Job(JobRecord),
    JobGone { job: String, host: String },
    RunStarted(RunRecord),
    RunEnded(RunRecord),
    RunCutOff(RunRecord),
}

/// The way into the journal. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    notes: mpsc::Sender<Note>,
    counts: Arc<Counts>,
}

/// The task behind it.
pub(crate) struct JournalTask {
    handle: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Journal {
    /// Starts writing under `root`, on the lease for `ttl`.
    pub(crate) fn start(locks: Locks, root: Root, ttl: Duration) -> (Self, JournalTask) {
        let (notes, inbox) = mpsc::channel(DEPTH);
        let counts = Arc::new(Counts::default());
        let writer = Writer::new(locks, root, ttl, counts.clone());
        let handle = tokio::spawn(writer.run(inbox));
        let task = JournalTask {
            handle,
            counts: counts.clone(),
        };
        (Self { notes, counts }, task)
    }

    fn note(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.counts.overflow.fetch_add(1, Ordering::AcqRel);
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

    /// Records a run of a host that is gone, unless that host recorded it.
    pub(crate) fn run_cut_off(&self, record: RunRecord) {
        self.note(Note::RunCutOff(record));
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
            self.handle.abort();
            let waiting = self.counts.waiting.load(Ordering::Acquire);
            tracing::warn!(
                "{waiting} records were not written: the store did not take them within {LAST_WORDS:?}; \
                 the event log has these runs"
            );
        }
    }
}

fn run_key(record: &RunRecord) -> RunKey {
    RunKey {
        job: record.job.clone(),
        token: record.token,
        sequence: record.sequence,
    }
}

/// The text of an `Arc<str>`, for records.
pub(crate) fn text(shared: &Arc<str>) -> String {
    shared.as_ref().to_owned()
}

#[cfg(test)]
mod tests;

/// A run that has begun, for tests.
#[cfg(test)]
pub(crate) fn sample(token: u64) -> RunRecord {
    RunRecord {
        job: "j".into(),
        host: "h".into(),
        lock: "l".into(),
        lock_key: "/leasehold/locks/l/1".into(),
        token,
        sequence: 0,
        run_id: format!("h-{token}-0"),
        attempt: 1,
        tick_unix_ms: None,
        plugin_sha256: "00".into(),
        started_unix_ms: 1_000,
        ended_unix_ms: None,
        outcome: leasehold_records::Outcome::Running,
        detail: String::new(),
        calls_admitted: 0,
        calls_refused: 0,
        peak_memory_bytes: 0,
        output: String::new(),
        output_truncated_bytes: 0,
        merged: None,
    }
}
