//! The task that writes records: several transactions are under way at once, and no run waits for one.
//!
//! The loop owns all state. Each piece of work under way returns one result and shares nothing with the loop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use leasehold_lock::{Backoff, Kv, Locks, RefusalKind, StoreError};
use leasehold_records::Root;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::cut_off::{CutOff, CutOffRun};
use super::history::{self, Findings, Histories, Visit};
use super::losses::Losses;
use super::outbox::{Load, Outbox};
use super::{Counts, Note, run_key};

/// Number of transactions under way at once. Two keep the store busy; more bridge a slow disk or a far store.
const LANES: usize = 4;
/// Length of a sleep without a wake-up time.
const LONG: Duration = Duration::from_hours(1);

/// The lease of standing records.
#[derive(Debug)]
struct Lease {
    /// The lease under which they were written; `None` before the first one, and after it has ended.
    current: Option<i64>,
    /// Time of the next check that it still is the session's, and that the host's record exists.
    look_at: Instant,
    is_asked: bool,
    every: Duration,
}

/// The session's lease, and the host's record under it.
#[derive(Debug)]
struct LeaseFacts {
    lease: i64,
    host: HostKey,
}

/// The host's record, as read from the store.
#[derive(Debug)]
enum HostKey {
    /// Not read: it is about to be written, or the store did not answer.
    Unread,
    Missing,
    Under(i64),
}

/// Result of a piece of work.
enum Done {
    Load(Load, i64, Result<i64, StoreError>),
    Lease(Result<LeaseFacts, StoreError>),
    Looked(Vec<(Visit, Result<Findings, StoreError>)>),
    Mended(Vec<Visit>, Result<(), StoreError>),
    CutOff(CutOffRun, Result<bool, StoreError>),
}

/// Writes records until every sender has been dropped and all are written.
pub(super) struct Writer {
    kv: Kv,
    locks: Locks,
    root: Root,
    ttl: Duration,
    counts: Arc<Counts>,
    outbox: Outbox,
    histories: Histories,
    /// Runs of dead hosts.
    cut_off: CutOff,
    losses: Losses,
    lease: Lease,
    /// Key of the host's own record, which shows if standing records still exist.
    host_key: Option<String>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    lanes: usize,
    /// True while histories are being read or changed.
    is_visiting: bool,
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
    pub(super) fn new(locks: Locks, root: Root, ttl: Duration, counts: Arc<Counts>) -> Self {
        let now = Instant::now();
        Self {
            kv: locks.kv(),
            locks,
            root,
            ttl,
            counts,
            outbox: Outbox::default(),
            histories: Histories::default(),
            cut_off: CutOff::default(),
            losses: Losses::default(),
            lease: Lease {
                current: None,
                look_at: now,
                is_asked: false,
                every: (ttl / 3).max(Duration::from_millis(500)),
            },
            host_key: None,
            under_way: FuturesUnordered::new(),
            lanes: 0,
            is_visiting: false,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            not_before: now,
            failure: None,
            is_closing: false,
            is_given_up: false,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Note>) {
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

    fn take(&mut self, note: Note) {
        let now = Instant::now();
        match note {
            Note::Host(record) => {
                let key = self.root.host(&record.host);
                self.host_key = Some(key.clone());
                self.outbox.host(key, record.to_json(), now);
            }
            Note::Job(record) => {
                let key = self.root.job(&record.job, &record.host);
                self.outbox.job(key, &record, now);
            }
            Note::JobGone { job, host } => {
                let key = self.root.job(&job, &host);
                self.histories.forget(&job);
                self.outbox.job_removed(&self.root, key, &job, now);
            }
            Note::RunStarted(record) => {
                let key = self.root.run(&run_key(&record));
                self.outbox.run_started(key, &record, now);
            }
            Note::RunEnded(record) => {
                let key = self.root.run(&run_key(&record));
                self.outbox.run_ended(key, &record, now);
            }
            Note::RunCutOff(record) => self.cut_off.note(&self.root, &record),
        }
    }

    /// Every sender has been dropped: the records of runs are written at once, and standing records end with the
    /// lease.
    fn close(&mut self) {
        self.is_closing = true;
        self.outbox.line_up_all(&self.root, Instant::now());
        self.outbox.forget_standing();
    }

    fn is_done(&self) -> bool {
        // A history that is not due is left to the next host that runs the job.
        let is_visited = self.histories.wake().is_none_or(|due| due > Instant::now());
        self.is_closing
            && self.outbox.is_empty()
            && self.cut_off.is_empty()
            && self.under_way.is_empty()
            && is_visited
    }

    /// Counts dropped records, and logs them when a burst is over.
    fn account(&mut self, now: Instant) {
        let overflow = self.counts.overflow.swap(0, Ordering::AcqRel);
        let dropped = self.outbox.take_dropped() + overflow;
        self.losses.add(dropped, self.failure.as_deref(), now);
        let is_over = self.is_closing && (self.is_given_up || self.outbox.is_empty());
        if let Some(report) = self.losses.report(now, is_over) {
            tracing::warn!("{report}");
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
            look,
            self.losses.wake(),
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
            let (kv, lease) = (self.kv.clone(), lease.unwrap_or(0));
            let batch = load.batch(lease);
            self.lanes += 1;
            self.begin(async move {
                let written = kv.commit(batch).await;
                Done::Load(load, lease, written)
            });
        }
        if let Some(run) = self.cut_off.begin() {
            let kv = self.kv.clone();
            self.begin(async move {
                let written = kv.compare_and_put(&run.key, 0, &run.json).await;
                Done::CutOff(run, written)
            });
        }
        if !self.is_visiting {
            let visits = self.histories.due(now);
            if !visits.is_empty() {
                self.is_visiting = true;
                let (kv, root) = (self.kv.clone(), self.root.clone());
                self.begin(async move { Done::Looked(history::look(kv, root, visits).await) });
            }
        }
    }

    fn begin(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.under_way.push(Box::pin(work));
    }

    /// Requests the session's lease, and the host's record if it should exist.
    fn look_at_lease(&mut self) {
        self.lease.is_asked = true;
        let (locks, kv, ttl) = (self.locks.clone(), self.kv.clone(), self.ttl);
        let host = self.host_key.clone();
        let host = host.filter(|key| self.lease.current.is_some() && !self.outbox.has(key));
        self.begin(async move {
            let lease = match locks.lease(ttl).await {
                Ok(lease) => lease,
                Err(error) => return Done::Lease(Err(error)),
            };
            let host = match host {
                Some(key) => match kv.get(&key).await {
                    Ok(Some(found)) => HostKey::Under(found.lease),
                    Ok(None) => HostKey::Missing,
                    Err(_) => HostKey::Unread,
                },
                None => HostKey::Unread,
            };
            Done::Lease(Ok(LeaseFacts { lease, host }))
        });
    }

    fn done(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Load(load, lease, written) => {
                self.lanes -= 1;
                self.load_done(load, lease, written, now);
            }
            Done::Lease(facts) => {
                self.lease.is_asked = false;
                self.lease.look_at = now + self.lease.every;
                match facts {
                    Ok(facts) => self.lease_known(&facts, now),
                    Err(error) => tracing::debug!(%error, "no lease for standing records"),
                }
            }
            Done::Looked(looks) => self.looked(looks, now),
            Done::CutOff(run, written) => {
                let failed = written.err().filter(|_| !self.is_closing);
                self.cut_off.ended(failed.as_ref().map(|_| run));
                if let Some(error) = failed {
                    tracing::debug!(%error, "cannot record the cut-off run of another host");
                    self.not_before = now + self.backoff.next();
                }
            }
            Done::Mended(visits, mended) => {
                self.is_visiting = false;
                if let Err(error) = mended {
                    tracing::debug!(%error, "cannot tidy up the history of runs");
                    for visit in visits {
                        self.histories.failed(visit, now);
                    }
                }
            }
        }
    }

    fn load_done(
        &mut self,
        load: Load,
        lease: i64,
        written: Result<i64, StoreError>,
        now: Instant,
    ) {
        let Err(error) = written else {
            self.backoff.reset();
            self.failure = None;
            for (key, mark, bytes) in self.outbox.written(load) {
                self.histories.wrote(&mark.job, key.clone(), bytes);
                if mark.is_first {
                    self.histories.ran(key, mark, now);
                }
            }
            return;
        };
        tracing::debug!(%error, "cannot write records");
        match &error {
            StoreError::Refused {
                kind: RefusalKind::LeaseNotFound,
                ..
            } if load.is_leased() => {
                // Every standing record was deleted with the lease.
                self.outbox.failed(load);
                self.not_before = now + self.backoff.next();
                if self.lease.current == Some(lease) {
                    self.lease_ended(lease, now);
                }
                return;
            }
            StoreError::Refused {
                kind: RefusalKind::Invalid,
                message,
            } => {
                if load.is_single() {
                    tracing::warn!(
                        "the store refused the record {}: {message}; it is left out",
                        load.first_key()
                    );
                    self.outbox.give_up(load);
                } else {
                    self.outbox.refused(load);
                }
                return;
            }
            _ => self.outbox.failed(load),
        }
        self.failure = Some(error.to_string());
        self.not_before = now + self.backoff.next();
        // The host ends, so there is no time to wait until the store accepts what it refuses.
        self.is_given_up = self.is_closing && !error.is_unknown();
    }

    /// Handles a lease that the store does not have: the next check gets another.
    fn lease_ended(&mut self, lease: i64, now: Instant) {
        self.lease.current = None;
        self.lease.look_at = now;
        let locks = self.locks.clone();
        let ttl = self.ttl;
        self.lease.is_asked = true;
        self.begin(async move {
            locks.end_session(lease);
            let lease = locks.lease(ttl).await;
            let host = HostKey::Unread;
            Done::Lease(lease.map(|lease| LeaseFacts { lease, host }))
        });
    }

    fn lease_known(&mut self, facts: &LeaseFacts, now: Instant) {
        let is_new = self.lease.current != Some(facts.lease);
        let host = self.host_key.as_deref();
        // The result counts only if no write of that key was under way meanwhile.
        let is_settled = host.is_some_and(|key| !self.outbox.has(key));
        let is_missing = is_settled
            && match facts.host {
                HostKey::Unread => false,
                HostKey::Missing => true,
                HostKey::Under(lease) => lease != facts.lease,
            };
        self.lease.current = Some(facts.lease);
        if is_new || is_missing {
            self.outbox.rewrite_standing(now);
        }
    }

    fn looked(&mut self, looks: Vec<(Visit, Result<Findings, StoreError>)>, now: Instant) {
        self.is_visiting = false;
        let (mut visits, mut findings) = (Vec::new(), Vec::new());
        for (visit, found) in looks {
            match found {
                Ok(found) => {
                    let found = found.without(|key| self.outbox.has(key));
                    if !found.is_empty() {
                        visits.push(visit);
                        findings.push(found);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot read the history of runs");
                    self.histories.failed(visit, now);
                }
            }
        }
        if !findings.is_empty() {
            self.is_visiting = true;
            let kv = self.kv.clone();
            self.begin(async move { Done::Mended(visits, history::mend(kv, findings).await) });
        }
    }
}
