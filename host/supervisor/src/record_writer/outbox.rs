//! Records that wait to be written, and the choice of those for the next transaction.
//!
//! Pure: time is passed in. A key has at most one write under way, so that writes of one key happen in order
//! however many transactions are in flight. At most one more write of a key waits, its newest.

mod item;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Batch;
use leasehold_records::{JobRecord, JobState, Root, RunRecord, UnixMs};
use tokio::time::Instant;

pub(super) use self::item::Load;
use self::item::{Content, Item, Line};
use super::merging::Merging;
use super::{fit, run_key};

/// Longest wait of a write for others to share its transaction. A tick is marked and its lock released within this
/// time of the run's end. So the record of the run and the state of its job are one transaction.
const LINGER: Duration = Duration::from_millis(25);
/// As [`LINGER`], for the start of a run: a host that dies within this time leaves no record of the run.
const START_LINGER: Duration = Duration::from_millis(3);
/// As [`LINGER`], for the states between two rests of a job whose runs are quick: the next rest replaces them.
const PASSING_LINGER: Duration = Duration::from_millis(250);
/// As [`LINGER`], for the start of a run of a job that has too many records, and for a state that may be short. A
/// run that ends within this time is merged with others.
const BRIEF: Duration = Duration::from_secs(1);
/// As [`LINGER`], for the progress of a run: it is for people, and a guest may report it ten times a second.
const PROGRESS_LINGER: Duration = Duration::from_millis(500);
/// Time between two transactions that are not full.
const PACE: Duration = Duration::from_millis(5);
/// Bytes in one transaction: a store accepts 1.5 MiB in one request.
const LOAD_BYTES: usize = 1 << 20;
/// Operations of a transaction that runs may use while other records wait.
const SHARE_OF_RUNS: usize = 96;
/// Number of runs that may wait: two minutes at 500 a second.
const MOST_RUNS: usize = 60_000;
/// Bytes of the waiting records of runs.
const MOST_RUN_BYTES: usize = 64 << 20;
/// Size of the largest record of a job: in a larger one the guest's texts are left out.
const RECORD_BYTES: usize = 32 << 10;

/// Identity of a recorded run, as far as the history of its job needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunMark {
    pub(super) job: String,
    pub(super) lock: String,
    pub(super) token: u64,
    /// True if nothing of the run has been written before.
    pub(super) is_first: bool,
}

/// A record that exists while the host lives.
#[derive(Debug)]
struct Standing {
    json: Vec<u8>,
    /// State of the job and its start time; a record that differs in neither shows progress.
    phase: Option<(JobState, UnixMs)>,
    /// State that was written last.
    written: Option<JobState>,
}

/// The waiting records.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    standing: BTreeMap<Arc<str>, Standing>,
    /// Duration of the last run of each job.
    took: HashMap<String, Duration>,
    merging: Merging,
    items: BTreeMap<u64, Item>,
    seqs: HashMap<Arc<str>, u64>,
    runs: Line,
    others: Line,
    /// Keys of writes under way.
    in_flight: HashSet<Arc<str>>,
    /// Writes whose key is in flight.
    blocked: HashMap<Arc<str>, Item>,
    next_seq: u64,
    /// Number of runs among `items` and `blocked`, and their bytes.
    waiting_runs: usize,
    waiting_run_bytes: usize,
    dropped: u64,
    last_departure: Option<Instant>,
}

impl Outbox {
    /// Adds the start of a run.
    pub(super) fn run_started(&mut self, key: String, record: &RunRecord, now: Instant) {
        let took = self.took.get(&record.job).copied();
        let is_short_of = self.merging.waits_until(&record.job, now).is_some();
        let (linger, rides) = match took {
            Some(took) if took < BRIEF && is_short_of => (BRIEF, false),
            Some(took) if took < LINGER => (LINGER, false),
            _ => (START_LINGER, true),
        };
        self.run(key, record, true, (now + linger, rides));
    }

    /// Adds the end of a run. It replaces a start that has not been written.
    pub(super) fn run_ended(&mut self, key: String, record: &RunRecord, now: Instant) {
        let took = record.ended_unix_ms.unwrap_or_default();
        let took = took.since(record.started_unix_ms);
        self.took.insert(record.job.clone(), took);
        let is_short_of = self.merging.waits_until(&record.job, now).is_some();
        if is_short_of
            && Merging::may_merge(record.outcome)
            && let Some(seq) = self.unwritten_start(&key)
        {
            self.take(seq);
            self.merging.add(record.clone(), now);
            return;
        }
        self.merging.spend(&record.job, now);
        self.run(key, record, false, (now + LINGER, true));
    }

    /// Returns the waiting start of a run, if it cannot be in the store.
    fn unwritten_start(&self, key: &str) -> Option<u64> {
        let seq = *self.seqs.get(key)?;
        let item = self.items.get(&seq)?;
        let is_start = matches!(&item.content, Content::Run { mark, .. } if mark.is_first);
        (is_start && !item.tried).then_some(seq)
    }

    fn run(
        &mut self,
        key: String,
        record: &RunRecord,
        is_first: bool,
        (due, rides): (Instant, bool),
    ) {
        let json = fit::run(record);
        let mark = RunMark {
            job: record.job.clone(),
            lock: record.lock.clone(),
            token: record.token,
            is_first,
        };
        self.add(key.into(), Content::Run { json, mark }, due, rides);
        self.keep_bounds();
    }

    /// Queues the merged records that are due.
    pub(super) fn line_up(&mut self, root: &Root, now: Instant) {
        let due = self.merging.due(now);
        self.add_merged(root, due, now);
    }

    /// Queues all merged records, at the end of the host.
    pub(super) fn line_up_all(&mut self, root: &Root, now: Instant) {
        let all = self.merging.release_all(now);
        self.add_merged(root, all, now);
    }

    fn add_merged(&mut self, root: &Root, records: Vec<RunRecord>, now: Instant) {
        for record in records {
            self.run(root.run(&run_key(&record)), &record, true, (now, true));
        }
    }

    /// Adds the host's record.
    pub(super) fn host(&mut self, key: String, json: Vec<u8>, now: Instant) {
        self.stand(key.into(), json, None, now + LINGER, true);
    }

    /// Adds the record of a job.
    pub(super) fn job(&mut self, key: String, record: &JobRecord, now: Instant) {
        let key: Arc<str> = key.into();
        let phase = Some((record.state, record.since_unix_ms));
        let standing = self.standing.get(&key);
        let before = standing.and_then(|standing| standing.phase);
        let written = standing.and_then(|standing| standing.written);
        let took = self.took.get(&record.job).copied().unwrap_or(BRIEF);
        let passes = matches!(record.state, JobState::Waiting | JobState::Running);
        let (due, rides) = match self.merging.waits_until(&record.job, now) {
            _ if before == phase => (now + PROGRESS_LINGER, false),
            // The state returns again and again, and is written with the record of the runs.
            Some(until) if written == Some(record.state) => {
                // The waiting record of a state that passed meanwhile is dropped.
                self.forget_waiting(&key);
                (until, false)
            }
            Some(_) if took < BRIEF && passes => (now + BRIEF, false),
            None if took < LINGER && passes => (now + PASSING_LINGER, false),
            Some(_) | None => (now + LINGER, true),
        };
        let mut json = record.to_json();
        if json.len() > RECORD_BYTES {
            let short = JobRecord {
                detail: "too long to be recorded".into(),
                progress: None,
                ..record.clone()
            };
            json = short.to_json();
        }
        self.stand(key, json, phase, due, rides);
    }

    /// Adds the removal of a job from this host.
    pub(super) fn job_removed(&mut self, root: &Root, key: String, job: &str, now: Instant) {
        let key: Arc<str> = key.into();
        self.standing.remove(&key);
        self.took.remove(job);
        let merged = self.merging.forget(job, now);
        self.add_merged(root, merged, now);
        self.add(key, Content::Removed, now + LINGER, true);
    }

    fn stand(
        &mut self,
        key: Arc<str>,
        json: Vec<u8>,
        phase: Option<(JobState, UnixMs)>,
        due: Instant,
        rides: bool,
    ) {
        let written = self.standing.get(&key).and_then(|before| before.written);
        let standing = Standing {
            json: json.clone(),
            phase,
            written,
        };
        self.standing.insert(key.clone(), standing);
        self.add(key, Content::Standing { json }, due, rides);
    }

    /// Removes a waiting standing record from its queue.
    fn forget_waiting(&mut self, key: &Arc<str>) {
        match self.seqs.get(key) {
            Some(seq) => drop(self.take(*seq)),
            None => drop(self.unblock(key)),
        }
    }

    /// Queues every standing record again: the lease that carried them has ended.
    pub(super) fn rewrite_standing(&mut self, now: Instant) {
        let all: Vec<(Arc<str>, Vec<u8>)> = self
            .standing
            .iter()
            .map(|(key, standing)| (key.clone(), standing.json.clone()))
            .collect();
        for (key, json) in all {
            self.add(key, Content::Standing { json }, now, true);
        }
    }

    /// Drops the standing records: the host ends, and they are deleted with its lease.
    pub(super) fn forget_standing(&mut self) {
        self.standing.clear();
        let others: Vec<u64> = self
            .others
            .riding
            .iter()
            .chain(&self.others.held)
            .map(|(_, seq)| *seq)
            .collect();
        for seq in others {
            self.take(seq);
        }
        self.blocked.retain(|_, item| item.content.is_run());
    }

    fn add(&mut self, key: Arc<str>, content: Content, due: Instant, rides: bool) {
        let item = Item {
            seq: self.next_seq,
            key,
            content,
            due,
            rides,
            alone: false,
            tried: false,
        };
        self.next_seq += 1;
        self.insert(item);
    }

    /// Queues a write; it replaces a waiting one of the same key, at that one's place.
    fn insert(&mut self, mut item: Item) {
        let waiting = match self.seqs.get(&item.key) {
            Some(seq) => self.take(*seq),
            None => self.unblock(&item.key.clone()),
        };
        if let Some(old) = waiting {
            item.supersede(&old);
        }
        if item.content.is_run() {
            self.waiting_runs += 1;
            self.waiting_run_bytes += item.content.bytes();
        }
        if self.in_flight.contains(&item.key) {
            self.blocked.insert(item.key.clone(), item);
            return;
        }
        let line = if item.content.is_run() {
            &mut self.runs
        } else {
            &mut self.others
        };
        line.of(&item).insert((item.due, item.seq));
        self.seqs.insert(item.key.clone(), item.seq);
        self.items.insert(item.seq, item);
    }

    /// Removes a write from its queue.
    fn take(&mut self, seq: u64) -> Option<Item> {
        let item = self.items.remove(&seq)?;
        self.seqs.remove(&item.key);
        let line = if item.content.is_run() {
            &mut self.runs
        } else {
            &mut self.others
        };
        line.of(&item).remove(&(item.due, seq));
        self.waits_no_more(&item);
        Some(item)
    }

    fn unblock(&mut self, key: &Arc<str>) -> Option<Item> {
        let item = self.blocked.remove(key)?;
        self.waits_no_more(&item);
        Some(item)
    }

    fn waits_no_more(&mut self, item: &Item) {
        if item.content.is_run() {
            self.waiting_runs -= 1;
            self.waiting_run_bytes -= item.content.bytes();
        }
    }

    /// Drops the oldest waiting runs beyond the bounds, and counts them.
    fn keep_bounds(&mut self) {
        while self.waiting_runs > MOST_RUNS || self.waiting_run_bytes > MOST_RUN_BYTES {
            let oldest = self.items.values().find(|item| item.content.is_run());
            let Some(seq) = oldest.map(|item| item.seq) else {
                return;
            };
            self.take(seq);
            self.dropped += 1;
        }
    }

    /// Returns the number of records of runs dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Drops every waiting run. Returns their number.
    pub(super) fn abandon(&mut self) -> u64 {
        let runs = self.waiting_runs + self.in_flight.len() + self.merging.len();
        *self = Self::default();
        u64::try_from(runs).unwrap_or(u64::MAX)
    }

    /// True if a write of `key` waits or is under way.
    pub(super) fn has(&self, key: &str) -> bool {
        self.seqs.contains_key(key) || self.in_flight.contains(key)
    }

    /// True if nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.blocked.is_empty()
            && self.in_flight.is_empty()
            && self.merging.len() == 0
    }

    /// Returns the number of writes that wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.items.len() + self.in_flight.len() + self.merging.len()
    }

    /// Returns the time when merged records are to be queued.
    pub(super) fn merged_due(&self) -> Option<Instant> {
        self.merging.wake()
    }

    /// Returns the time when the next transaction may start; standing records are in it only if there is a lease.
    pub(super) fn wake(&self, has_lease: bool, closing: bool) -> Option<Instant> {
        let others = if has_lease {
            self.others.first_due()
        } else {
            None
        };
        let due = [self.runs.first_due(), others]
            .into_iter()
            .flatten()
            .min()?;
        if closing || self.is_full() {
            // At once.
            return Some(due.min(self.last_departure.unwrap_or(due)));
        }
        let pace = self.last_departure.map_or(due, |last| last + PACE);
        Some(due.max(pace))
    }

    fn is_full(&self) -> bool {
        self.runs.riding.len() >= Batch::MOST_OPS
    }

    /// Returns the next transaction, if one is to start now.
    pub(super) fn depart(&mut self, now: Instant, has_lease: bool, closing: bool) -> Option<Load> {
        let until = if closing {
            now + PROGRESS_LINGER * 2
        } else {
            now
        };
        let wake = self.wake(has_lease, closing)?;
        if wake > until && !self.is_full() {
            return None;
        }
        let mut seqs: Vec<u64> = Vec::new();
        let others = if !has_lease || self.others.is_empty() {
            Vec::new()
        } else {
            self.others.ready(until).take(Batch::MOST_OPS).collect()
        };
        let share = if others.is_empty() {
            Batch::MOST_OPS
        } else {
            SHARE_OF_RUNS
        };
        seqs.extend(self.runs.ready(until).take(share));
        seqs.extend(others);
        seqs.truncate(Batch::MOST_OPS);
        let (mut items, mut bytes) = (Vec::new(), 0);
        for seq in seqs {
            let Some(next) = self.items.get(&seq) else {
                continue;
            };
            bytes += next.key.len() + next.content.bytes();
            let stands_alone = next.alone || items.last().is_some_and(|item: &Item| item.alone);
            if !items.is_empty() && (bytes > LOAD_BYTES || stands_alone) {
                break;
            }
            if let Some(item) = self.take(seq) {
                if let Some(standing) = self.standing.get_mut(&item.key) {
                    standing.written = standing.phase.map(|(state, _)| state);
                }
                self.in_flight.insert(item.key.clone());
                items.push(item);
            }
        }
        if items.is_empty() {
            return None;
        }
        self.last_departure = Some(now);
        Some(Load { items })
    }

    /// Handles a successful transaction; returns the runs in it and the size of their records.
    pub(super) fn written(&mut self, load: Load) -> Vec<(Arc<str>, RunMark, usize)> {
        let mut runs = Vec::new();
        for item in load.items {
            self.landed(&item.key);
            let bytes = item.content.bytes();
            if let Content::Run { mark, .. } = item.content {
                runs.push((item.key, mark, bytes));
            }
        }
        runs
    }

    /// Handles a transaction that may have failed: all of it is written again.
    pub(super) fn failed(&mut self, load: Load) {
        self.again(load, false);
    }

    /// Handles a transaction that was refused for its content: each of its writes is sent alone.
    pub(super) fn refused(&mut self, load: Load) {
        self.again(load, true);
    }

    fn again(&mut self, load: Load, alone: bool) {
        for mut item in load.items {
            let newer = self.unblock(&item.key);
            self.in_flight.remove(&item.key);
            item.alone |= alone;
            item.tried = true;
            match newer {
                Some(mut newer) => {
                    newer.supersede(&item);
                    self.insert(newer);
                }
                None => self.insert(item),
            }
        }
        self.keep_bounds();
    }

    /// Drops a write that the store refuses. Counts it as dropped if it is a run's.
    pub(super) fn give_up(&mut self, load: Load) {
        for item in load.items {
            self.dropped += u64::from(item.content.is_run());
            self.landed(&item.key);
        }
    }

    fn landed(&mut self, key: &Arc<str>) {
        self.in_flight.remove(key);
        if let Some(newer) = self.unblock(key) {
            self.insert(newer);
        }
    }
}

#[cfg(test)]
mod tests;
