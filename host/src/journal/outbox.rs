//! Records that wait to be written, and which of them go into the next transaction.
//!
//! Pure: time comes from outside. A key has at most one write under way, so that writes of one key happen in
//! order however many transactions are in flight, and at most one waiting, its newest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Batch;
use leasehold_records::{JobRecord, JobState, RunRecord};
use tokio::time::Instant;

/// How long a write may wait for others to go with it: a tick is marked and its lock released within this time
/// of the run's end, so that the record of the run and the state of its job are one transaction.
const LINGER: Duration = Duration::from_millis(25);
/// As [`LINGER`], for the start of a run: a host that dies earlier leaves no record of the run.
const START_LINGER: Duration = Duration::from_millis(3);
/// As [`LINGER`], for the states between two rests of a job whose runs are quick: the next rest replaces them.
const PASSING_LINGER: Duration = Duration::from_millis(250);
/// As [`LINGER`], for how far a run is: a person looks at it, and a guest may report it ten times a second.
const PROGRESS_LINGER: Duration = Duration::from_millis(500);
/// Time between two transactions that are not full.
const PACE: Duration = Duration::from_millis(5);
/// Bytes in one transaction: a store takes 1.5 MiB in one request.
const LOAD_BYTES: usize = 1 << 20;
/// Operations of a transaction that runs may fill while other records wait.
const SHARE_OF_RUNS: usize = 96;
/// Runs that may wait: two minutes at 500 a second.
const MOST_RUNS: usize = 60_000;
/// Bytes of the records of runs that wait.
const MOST_RUN_BYTES: usize = 64 << 20;
/// The largest record: of anything longer the guest's texts are left out.
const RECORD_BYTES: usize = 256 << 10;

/// Which run a record is of, as far as the history of its job needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunMark {
    pub(super) job: String,
    pub(super) lock: String,
    pub(super) token: u64,
    /// True when nothing has been written of the run before.
    pub(super) is_first: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// Of a run: stays.
    Run { json: Vec<u8>, mark: RunMark },
    /// Of the host or a job: goes with the host's lease.
    Standing { json: Vec<u8> },
    /// A standing record to delete.
    Removed,
}

impl Content {
    const fn is_run(&self) -> bool {
        matches!(self, Self::Run { .. })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Run { json, .. } | Self::Standing { json } => json.len(),
            Self::Removed => 0,
        }
    }
}

/// One write that waits or is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    key: Arc<str>,
    content: Content,
    /// Its place among those that wait, kept when it is replaced by something newer.
    seq: u64,
    /// When it goes, if nothing takes it along earlier.
    due: Instant,
    /// True when it goes with the next transaction; else it waits until it is due, for something newer.
    rides: bool,
    /// True when a transaction with it was refused, so that it must go alone.
    alone: bool,
}

/// The writes of one transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Load {
    items: Vec<Item>,
}

impl Load {
    /// The transaction, with standing records under `lease`.
    pub(super) fn batch(&self, lease: i64) -> Batch {
        let mut batch = Batch::default();
        for item in &self.items {
            match &item.content {
                Content::Run { json, .. } => batch.put(&item.key, json, 0),
                Content::Standing { json } => batch.put(&item.key, json, lease),
                Content::Removed => batch.delete(&item.key),
            }
        }
        batch
    }

    /// True when it is a single write, so that a refusal is about that one.
    pub(super) fn is_single(&self) -> bool {
        self.items.len() == 1
    }

    /// Its first key, for a message.
    pub(super) fn first_key(&self) -> &str {
        self.items.first().map_or("", |item| &item.key)
    }

    /// True when it needs a lease.
    pub(super) fn is_leased(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| matches!(item.content, Content::Standing { .. }))
    }
}

/// Writes in the order in which they are due.
#[derive(Debug, Default)]
struct Line {
    riding: BTreeSet<(Instant, u64)>,
    held: BTreeSet<(Instant, u64)>,
}

impl Line {
    fn of(&mut self, item: &Item) -> &mut BTreeSet<(Instant, u64)> {
        if item.rides {
            &mut self.riding
        } else {
            &mut self.held
        }
    }

    fn first_due(&self) -> Option<Instant> {
        let firsts = [self.riding.first(), self.held.first()];
        firsts.into_iter().flatten().map(|(due, _)| *due).min()
    }

    /// Writes that go if a transaction leaves now.
    fn ready(&self, now: Instant) -> impl Iterator<Item = u64> {
        let due = self.held.iter().take_while(move |(due, _)| *due <= now);
        self.riding.iter().chain(due).map(|(_, seq)| *seq)
    }

    fn is_empty(&self) -> bool {
        self.riding.is_empty() && self.held.is_empty()
    }
}

/// A record that exists while the host lives.
#[derive(Debug)]
struct Standing {
    json: Vec<u8>,
    /// The state of the job and its begin; a record that differs in neither shows progress.
    phase: Option<(JobState, u64)>,
}

/// The records that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    standing: BTreeMap<Arc<str>, Standing>,
    /// True for a job whose last run was over before its start was worth a write.
    quick: HashMap<String, bool>,
    items: BTreeMap<u64, Item>,
    seqs: HashMap<Arc<str>, u64>,
    runs: Line,
    others: Line,
    /// Keys of writes under way.
    in_flight: HashSet<Arc<str>>,
    /// Writes whose key is in flight.
    blocked: HashMap<Arc<str>, Item>,
    next_seq: u64,
    /// Runs among `items` and `blocked`, and their bytes.
    waiting_runs: usize,
    waiting_run_bytes: usize,
    dropped: u64,
    last_departure: Option<Instant>,
}

impl Outbox {
    /// Takes in that a run has begun.
    pub(super) fn run_started(&mut self, key: String, record: &RunRecord, now: Instant) {
        let is_quick = self.quick.get(&record.job).copied().unwrap_or(false);
        let linger = if is_quick { LINGER } else { START_LINGER };
        self.run(key, record, now + linger, !is_quick);
    }

    /// Takes in that a run has ended. A start that has not been written is replaced.
    pub(super) fn run_ended(&mut self, key: String, record: &RunRecord, now: Instant) {
        let took = record.ended_unix_ms.unwrap_or(0);
        let took = Duration::from_millis(took.saturating_sub(record.started_unix_ms));
        self.quick.insert(record.job.clone(), took < LINGER);
        self.run(key, record, now + LINGER, true);
    }

    fn run(&mut self, key: String, record: &RunRecord, due: Instant, rides: bool) {
        let mut json = record.to_json();
        if json.len() > RECORD_BYTES {
            let short = RunRecord {
                output: String::new(),
                output_truncated_bytes: record.output_truncated_bytes
                    + u64::try_from(record.output.len()).unwrap_or(u64::MAX),
                detail: "too long to be recorded".into(),
                ..record.clone()
            };
            json = short.to_json();
        }
        let mark = RunMark {
            job: record.job.clone(),
            lock: record.lock.clone(),
            token: record.token,
            is_first: record.ended_unix_ms.is_none(),
        };
        self.add(key.into(), Content::Run { json, mark }, due, rides);
        self.keep_bounds();
    }

    /// Takes in the host's record.
    pub(super) fn host(&mut self, key: String, json: Vec<u8>, now: Instant) {
        self.stand(key.into(), json, None, now + LINGER, true);
    }

    /// Takes in the record of a job.
    pub(super) fn job(&mut self, key: String, record: &JobRecord, now: Instant) {
        let key: Arc<str> = key.into();
        let phase = Some((record.state, record.since_unix_ms));
        let before = self.standing.get(&key).and_then(|standing| standing.phase);
        let is_quick = self.quick.get(&record.job).copied().unwrap_or(false);
        let passes = matches!(record.state, JobState::Waiting | JobState::Running);
        let (linger, rides) = if before == phase {
            (PROGRESS_LINGER, false)
        } else if is_quick && passes {
            (PASSING_LINGER, false)
        } else {
            (LINGER, true)
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
        self.stand(key, json, phase, now + linger, rides);
    }

    /// Takes in that a job was removed from this host.
    pub(super) fn job_removed(&mut self, key: String, job: &str, now: Instant) {
        let key: Arc<str> = key.into();
        self.standing.remove(&key);
        self.quick.remove(job);
        self.add(key, Content::Removed, now + LINGER, true);
    }

    fn stand(
        &mut self,
        key: Arc<str>,
        json: Vec<u8>,
        phase: Option<(JobState, u64)>,
        due: Instant,
        rides: bool,
    ) {
        let standing = Standing {
            json: json.clone(),
            phase,
        };
        self.standing.insert(key.clone(), standing);
        self.add(key, Content::Standing { json }, due, rides);
    }

    /// Writes every standing record again: the lease that carried them has ended.
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

    /// Forgets the standing records: the host ends, and its lease takes all of them away.
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
        };
        self.next_seq += 1;
        self.insert(item);
    }

    /// Puts a write in its line; one that waits under the same key is replaced, in its place.
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

    /// Takes a write out of its line.
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

    /// Drops the oldest runs that wait when there are too many, and counts them.
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

    /// Records of runs dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Gives up every run that waits. Returns how many there were.
    pub(super) fn abandon(&mut self) -> u64 {
        let runs = self.waiting_runs + self.in_flight.len();
        *self = Self::default();
        u64::try_from(runs).unwrap_or(u64::MAX)
    }

    /// True when a write of `key` waits or is under way.
    pub(super) fn has(&self, key: &str) -> bool {
        self.seqs.contains_key(key) || self.in_flight.contains(key)
    }

    /// True when nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.blocked.is_empty() && self.in_flight.is_empty()
    }

    /// Writes that wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.items.len() + self.in_flight.len()
    }

    /// When the next transaction may leave, standing records among it only if there is a lease.
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

    /// The next transaction, if one is to leave now.
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

    /// Takes in that a transaction was carried out; names the runs that were written for the first time.
    pub(super) fn written(&mut self, load: Load) -> Vec<(Arc<str>, RunMark)> {
        let mut first = Vec::new();
        for item in load.items {
            self.landed(&item.key);
            if let Content::Run { mark, .. } = item.content
                && mark.is_first
            {
                first.push((item.key, mark));
            }
        }
        first
    }

    /// Takes in that a transaction may not have been carried out: all of it is written again.
    pub(super) fn failed(&mut self, load: Load) {
        self.again(load, false);
    }

    /// Takes in that a transaction was refused for what is in it: each of its writes goes alone.
    pub(super) fn refused(&mut self, load: Load) {
        self.again(load, true);
    }

    fn again(&mut self, load: Load, alone: bool) {
        for mut item in load.items {
            let newer = self.unblock(&item.key);
            self.in_flight.remove(&item.key);
            item.alone |= alone;
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

    /// Gives up a write that the store refuses. Counted as dropped if it is of a run.
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

impl Item {
    /// Takes the place of an older write of the same key.
    fn supersede(&mut self, old: &Self) {
        self.seq = old.seq;
        self.due = self.due.min(old.due);
        self.alone |= old.alone;
        if let (Content::Run { mark, .. }, Content::Run { mark: old, .. }) =
            (&mut self.content, &old.content)
        {
            mark.is_first |= old.is_first;
        }
    }
}

#[cfg(test)]
mod tests;
