//! The task that writes records: several transactions are under way at once, and no run waits for one.
//!
//! The loop owns all state. Each piece of work under way returns one result and shares nothing with the loop.

mod lease;
mod results;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use leasehold_lock::{Backoff, Kv, LeaseId, Locks, Revision, StoreError, renewal_interval};
use leasehold_records::{Root, UnixMs};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::aged;
use super::cut_off::{CutOff, CutOffRun};
use super::history::{self, Histories, HistoryFindings, HistoryVisit};
use super::losses::Losses;
use super::outbox::{Outbox, WriteBatch};
use super::rules::HistoryRules;
use super::unended::{UnendedRun, UnendedRuns};
use super::{Counts, RecordNote};
use crate::event::{EventContext, EventKind};
use crate::event_log::EventLog;
use lease::{Lease, LeaseFacts};

/// Number of transactions under way at once. Two keep the store busy; more bridge a slow disk or a far store.
const LANES: usize = 4;
/// Longest time until the first search for runs of jobs that no host has, and between two of them. Hosts that start
/// together search at different times.
const SWEEP_FIRST: Duration = Duration::from_hours(1);
const SWEEP_EVERY: Duration = Duration::from_hours(8);
/// Length of a sleep without a wake-up time.
const LONG: Duration = Duration::from_hours(1);

/// Result of a piece of work.
enum WorkResult {
    WriteBatch(WriteBatch, LeaseId, Result<Revision, StoreError>),
    Lease(Result<LeaseFacts, StoreError>),
    Looked(Vec<(HistoryVisit, Result<HistoryFindings, StoreError>)>),
    Trimmed(Vec<HistoryVisit>, Result<(), StoreError>),
    /// A run that was found without an end; true if it has one from here now.
    Ended(Box<UnendedRun>, Result<bool, StoreError>),
    CutOff(CutOffRun, Result<bool, StoreError>),
    Swept(Result<Vec<String>, StoreError>),
}

/// Writes records until every sender has been dropped and all are written.
pub(super) struct Writer {
    kv: Kv,
    locks: Locks,
    root: Root,
    ttl: Duration,
    counts: Arc<Counts>,
    event_log: EventLog,
    outbox: Outbox,
    histories: Histories,
    /// Runs of dead hosts.
    cut_off: CutOff,
    /// Runs that were found without an end.
    unended: UnendedRuns,
    losses: Losses,
    lease: Lease,
    /// Key of the host's own record, which shows if standing records still exist.
    host_key: Option<String>,
    under_way: FuturesUnordered<BoxFuture<'static, WorkResult>>,
    lanes: usize,
    /// True while histories are being read or changed.
    is_visiting: bool,
    /// Time of the next search for runs of jobs that no host has; `None` while one is under way.
    sweep_at: Option<Instant>,
    backoff: Backoff,
    /// Earliest time of the next write.
    not_before: Instant,
    /// Error of the last transaction, if it failed.
    failure: Option<String>,
    is_closing: bool,
    /// True if the rest will not be written.
    is_given_up: bool,
}

impl Writer {
    pub(super) fn new(
        locks: Locks,
        root: Root,
        ttl: Duration,
        (counts, rules): (Arc<Counts>, Arc<HistoryRules>),
        event_log: EventLog,
    ) -> Self {
        let now = Instant::now();
        Self {
            kv: locks.kv(),
            locks,
            root,
            ttl,
            counts,
            event_log,
            outbox: Outbox::default(),
            histories: Histories::new(rules),
            cut_off: CutOff::default(),
            unended: UnendedRuns::default(),
            losses: Losses::default(),
            lease: Lease {
                current: None,
                look_at: now,
                is_asked: false,
                every: renewal_interval(ttl).max(Duration::from_millis(500)),
            },
            host_key: None,
            under_way: FuturesUnordered::new(),
            lanes: 0,
            is_visiting: false,
            sweep_at: Some(now + SWEEP_FIRST.mul_f64(0.2 + 0.8 * fastrand::f64())),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            not_before: now,
            failure: None,
            is_closing: false,
            is_given_up: false,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<RecordNote>) {
        loop {
            let now = Instant::now();
            self.account(now);
            self.launch(now);
            if self.is_given_up || self.is_done() {
                break;
            }
            let wake = self.wake(now);
            tokio::select! {
                note = inbox.recv(), if !self.is_closing => match note {
                    Some(note) => {
                        self.take(note);
                        // Several changes of one record become one write.
                        while let Ok(note) = inbox.try_recv() {
                            self.take(note);
                        }
                    }
                    None => self.close(),
                },
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => self.done(done),
                () = sleep_until(wake) => {}
            }
        }
        self.losses.add(
            self.outbox.abandon(),
            self.failure.as_deref(),
            Instant::now(),
        );
        self.account(Instant::now());
    }

    fn take(&mut self, note: RecordNote) {
        let now = Instant::now();
        match note {
            RecordNote::Host(record) => {
                let key = self.root.host(&record.host);
                self.host_key = Some(key.clone());
                self.outbox.host(key, record.to_json(), now);
            }
            RecordNote::Job(record) => {
                let key = self.root.job(&record.job, &record.host);
                self.outbox.job(key, &record, now);
            }
            RecordNote::JobGone { job, host } => {
                let key = self.root.job(&job, &host);
                self.histories.forget(&job);
                self.outbox.job_removed(&self.root, key, &job, now);
            }
            RecordNote::RunStarted(record) => {
                let key = self.root.run(&record.key());
                self.outbox.run_started(key, &record, now);
            }
            RecordNote::RunEnded(record) => {
                let key = self.root.run(&record.key());
                self.outbox.run_ended(key, &record, now);
            }
            RecordNote::RunCutOff(record) => self.cut_off.note(&self.root, &record),
        }
    }

    /// Every sender has been dropped: the records of runs are written at once, and standing records end with the
    /// lease.
    fn close(&mut self) {
        self.is_closing = true;
        self.outbox.line_up_all(&self.root, Instant::now());
        self.outbox.forget_standing();
        self.unended.close();
    }

    fn is_done(&self) -> bool {
        // A history that is not due is left to the next host that runs the job.
        let is_visited = self.histories.wake().is_none_or(|due| due > Instant::now());
        self.is_closing
            && self.outbox.is_empty()
            && self.cut_off.is_empty()
            && self.under_way.is_empty()
            && self.unended.is_empty()
            && is_visited
    }

    /// Counts dropped records, and logs them when a burst is over.
    fn account(&mut self, now: Instant) {
        let overflow = self.counts.overflow.swap(0, Ordering::AcqRel);
        let dropped = self.outbox.take_dropped() + overflow;
        self.losses.add(dropped, self.failure.as_deref(), now);
        let is_over = self.is_closing && (self.is_given_up || self.outbox.is_empty());
        if let Some(report) = self.losses.report(now, is_over) {
            let dropped = EventKind::RecordsDropped {
                count: report.records(),
                reason: report.to_string(),
            };
            self.event_log.emit(EventContext::default(), dropped);
        }
        let waiting = u64::try_from(self.outbox.len()).unwrap_or(u64::MAX);
        self.counts.waiting.store(waiting, Ordering::Release);
    }

    fn wake(&self, now: Instant) -> Instant {
        let has_lane = self.lanes < self.most_lanes();
        let write = self
            .outbox
            .wake(self.lease.current.is_some(), self.is_closing);
        let write = write.filter(|_| has_lane).map(|at| at.max(self.not_before));
        let visit = self.histories.wake().filter(|_| !self.is_visiting);
        let look = (!self.lease.is_asked && !self.is_closing).then_some(self.lease.look_at);
        let merged = self.outbox.merged_due();
        let wakes = [
            write,
            merged.map(|at| at.max(self.not_before)),
            self.cut_off.is_waiting().then_some(self.not_before),
            visit.map(|at| at.max(self.not_before)),
            self.unended.wake().map(|at| at.max(self.not_before)),
            look,
            self.losses.wake(),
            self.sweep_at.map(|at| at.max(self.not_before)),
        ];
        let wake = wakes.into_iter().flatten().min();
        wake.unwrap_or(now + LONG).max(now)
    }

    /// Returns the most transactions at once: a store that does not answer is tried with one.
    const fn most_lanes(&self) -> usize {
        if self.failure.is_some() { 1 } else { LANES }
    }

    /// Starts all work that may start now.
    fn launch(&mut self, now: Instant) {
        if !self.lease.is_asked && !self.is_closing && self.lease.look_at <= now {
            self.look_at_lease();
        }
        if now < self.not_before {
            return;
        }
        self.outbox.line_up(&self.root, now);
        let lease = self.lease.current;
        while self.lanes < self.most_lanes()
            && let Some(load) = self.outbox.depart(now, lease.is_some(), self.is_closing)
        {
            let (kv, lease) = (self.kv.clone(), lease.unwrap_or(LeaseId::NONE));
            let batch = load.batch(lease);
            self.lanes += 1;
            self.begin(async move {
                let written = kv.commit(batch).await;
                WorkResult::WriteBatch(load, lease, written)
            });
        }
        if let Some(run) = self.cut_off.begin() {
            let kv = self.kv.clone();
            self.begin(async move {
                let written = kv
                    .compare_and_put(&run.key, Revision::NONE, &run.json)
                    .await;
                WorkResult::CutOff(run, written)
            });
        }
        if let Some(run) = self.unended.begin(now) {
            let kv = self.kv.clone();
            self.begin(async move {
                // A run that has ended meanwhile has another revision, and stays as it is.
                let json = run.ended().to_json();
                let written = kv.compare_and_put(&run.key, run.revision, &json).await;
                WorkResult::Ended(Box::new(run), written)
            });
        }
        self.launch_sweep(now);
        if !self.is_visiting {
            let visits = self.histories.due(now);
            if !visits.is_empty() {
                self.is_visiting = true;
                let (kv, root) = (self.kv.clone(), self.root.clone());
                self.begin(async move {
                    WorkResult::Looked(history::look(kv, root, visits, wall()).await)
                });
            }
        }
    }

    /// Starts the search for runs of jobs that no host has, if it is due.
    fn launch_sweep(&mut self, now: Instant) {
        if !self.is_closing && self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            let (kv, root) = (self.kv.clone(), self.root.clone());
            self.begin(async move { WorkResult::Swept(aged::sweep(kv, root, wall()).await) });
        }
    }

    fn begin(&mut self, work: impl Future<Output = WorkResult> + Send + 'static) {
        self.under_way.push(Box::pin(work));
    }
}

fn wall() -> UnixMs {
    UnixMs::from_system(SystemTime::now())
}
