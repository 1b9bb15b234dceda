//! The record writer: writes the records of the host, its jobs and their runs into the store.
//!
//! One task writes, behind a bounded queue, and goes on trying while the store does not answer. No run ever waits
//! for it: records are for people, and must neither slow a run down nor change its end.
//!
//! - `outbox`: the waiting records, and their grouping into transactions; pure.
//! - `merging`: runs that come too fast for one record each; pure.
//! - `fit`: records cut to their largest size; pure.
//! - `history`: bounds on the runs of a job, and the end of runs that have none.
//! - `rules`: the bounds of each job. `aged`: records that are old, and those of jobs that no host has.
//! - `sizes`: the number of a job's records that fit its bytes; pure.
//! - `cut_off`: runs of dead hosts, known from the claims of their ticks. `unended`: runs whose record has no end.
//! - `losses`: dropped records and their report; pure.
//! - `writer`: the task.

mod abandoned;
mod aged;
mod cut_off;
mod fit;
mod history;
mod losses;
mod merging;
mod outbox;
mod rules;
mod run_fate;
mod sizes;
mod unended;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold_config::JobHistory;
use leasehold_lock::Locks;
use leasehold_records::{HostRecord, JobRecord, Root, RunRecord};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use self::abandoned::log_abandoned;
pub(crate) use self::fit::run as fit_run;
use self::rules::HistoryRules;
use self::writer::Writer;
use crate::event::{EventContext, EventKind};
use crate::event_log::EventLog;

/// Capacity of the queue to the task, which empties it at once: room for a burst while the task is not scheduled.
const DEPTH: usize = 4096;
/// Longest wait of a shutdown for the last records.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Counters shared by the task and its handles.
#[derive(Debug, Default)]
struct Counts {
    /// Number of records dropped because the queue was full.
    overflow: AtomicU64,
    /// Number of records that the task has not written yet.
    waiting: AtomicU64,
}

enum RecordNote {
    Host(HostRecord),
    Job(JobRecord),
    JobGone { job: String, host: String },
    RunStarted(RunRecord),
    RunEnded(RunRecord),
    RunCutOff(RunRecord),
}

/// Handle for sending records to the task. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RecordWriter {
    notes: mpsc::Sender<RecordNote>,
    counts: Arc<Counts>,
    rules: Arc<HistoryRules>,
}

/// The task that writes records.
pub(crate) struct RecordWriterTask {
    handle: JoinHandle<()>,
    counts: Arc<Counts>,
    event_log: EventLog,
}

impl RecordWriter {
    /// Starts writing under `root`, on the lease for `ttl`.
    /// Logs dropped records in `event_log`.
    pub(crate) fn start(
        locks: Locks,
        root: Root,
        ttl: Duration,
        event_log: EventLog,
    ) -> (Self, RecordWriterTask) {
        let (notes, inbox) = mpsc::channel(DEPTH);
        let counts = Arc::new(Counts::default());
        let rules = Arc::new(HistoryRules::default());
        let shared = (counts.clone(), rules.clone());
        let writer = Writer::new(locks, root, ttl, shared, event_log.clone());
        let handle = tokio::spawn(writer.run(inbox));
        let task = RecordWriterTask {
            handle,
            counts: counts.clone(),
            event_log,
        };
        let writer = Self {
            notes,
            counts,
            rules,
        };
        (writer, task)
    }

    fn note(&self, note: RecordNote) {
        if self.notes.try_send(note).is_err() {
            self.counts.overflow.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn host(&self, record: HostRecord) {
        self.note(RecordNote::Host(record));
    }

    pub(crate) fn job(&self, record: JobRecord) {
        self.note(RecordNote::Job(record));
    }

    /// Deletes the record of a job that was removed from this host.
    pub(crate) fn job_gone(&self, job: String, host: String) {
        self.note(RecordNote::JobGone { job, host });
    }

    /// Sets the bounds on the history of a job.
    pub(crate) fn set_history(&self, job: &str, history: JobHistory) {
        self.rules.set(job, history);
    }

    pub(crate) fn run_started(&self, record: RunRecord) {
        self.note(RecordNote::RunStarted(record));
    }

    pub(crate) fn run_ended(&self, record: RunRecord) {
        self.note(RecordNote::RunEnded(record));
    }

    /// Records a run of a dead host, unless that host recorded it.
    pub(crate) fn run_cut_off(&self, record: RunRecord) {
        self.note(RecordNote::RunCutOff(record));
    }
}

impl RecordWriterTask {
    /// Ends the task without writing the rest, for a host that writes no more.
    pub(crate) fn abandon(self) {
        self.handle.abort();
    }

    /// Waits until everything sent is written, but not for long. Every [`RecordWriter`] must have been dropped.
    pub(crate) async fn finish(mut self) {
        if tokio::time::timeout(LAST_WORDS, &mut self.handle)
            .await
            .is_err()
        {
            self.handle.abort();
            let count = self.counts.waiting.load(Ordering::Acquire);
            let reason = format!(
                "{count} records were not written: the store did not take them within {LAST_WORDS:?}; \
                 the event log has these runs"
            );
            let dropped = EventKind::RecordsDropped { count, reason };
            self.event_log.emit(EventContext::default(), dropped);
        }
    }
}

/// Returns the text of an `Arc<str>`, for records.
pub(crate) fn text(shared: &Arc<str>) -> String {
    shared.as_ref().to_owned()
}

#[cfg(test)]
mod tests;

/// Returns a run that has begun, for tests.
#[cfg(test)]
pub(crate) fn sample(token: u64) -> RunRecord {
    RunRecord {
        lock: "l".into(),
        lock_key: "/leasehold/locks/l/1".into(),
        ..leasehold_records::fixtures::run_record("j", "h", token)
    }
}
