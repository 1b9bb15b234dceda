//! Records that wait to be written, and the choice of those for the next transaction.
//!
//! Pure: time is passed in. A key has at most one write under way, so that writes of one key happen in order
//! however many transactions are in flight. At most one more write of a key waits, its newest.

mod departure;
mod intake;
mod pending_write;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Token;
use leasehold_records::{JobState, UnixMs};
use tokio::time::Instant;

pub(super) use self::pending_write::WriteBatch;
use self::pending_write::{PendingWrite, WriteContent, WriteQueue};
use super::merging::Merging;

/// Longest wait of the progress of a run for other writes: it is for people, and a guest may report it ten times a second.
const PROGRESS_LINGER: Duration = Duration::from_millis(500);
/// Number of runs that may wait: two minutes at 500 a second.
const MOST_RUNS: usize = 60_000;
/// Bytes of the waiting records of runs.
const MOST_RUN_BYTES: usize = 64 << 20;

/// Identity of a recorded run, as far as the history of its job needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunMark {
    pub(super) job: String,
    pub(super) lock: String,
    /// True if other runs may hold the lock meanwhile.
    pub(super) shared: bool,
    pub(super) token: Token,
    /// True if nothing of the run has been written before.
    pub(super) is_first: bool,
}

/// A record that exists while the host lives.
#[derive(Debug)]
struct StandingRecord {
    json: Vec<u8>,
    /// State of the job and its start time; a record that differs in neither shows progress.
    phase: Option<(JobState, UnixMs)>,
    /// State that was written last.
    written: Option<JobState>,
}

/// The waiting records.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    standing: BTreeMap<Arc<str>, StandingRecord>,
    /// Duration of the last run of each job.
    took: HashMap<String, Duration>,
    merging: Merging,
    items: BTreeMap<u64, PendingWrite>,
    seqs: HashMap<Arc<str>, u64>,
    runs: WriteQueue,
    others: WriteQueue,
    /// Keys of writes under way.
    in_flight: HashSet<Arc<str>>,
    /// Writes whose key is in flight.
    blocked: HashMap<Arc<str>, PendingWrite>,
    next_seq: u64,
    /// Number of runs among `items` and `blocked`, and their bytes.
    waiting_runs: usize,
    waiting_run_bytes: usize,
    dropped: u64,
    last_departure: Option<Instant>,
}

impl Outbox {
    fn add(&mut self, key: Arc<str>, content: WriteContent, due: Instant, rides: bool) {
        let item = PendingWrite {
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
    fn insert(&mut self, mut item: PendingWrite) {
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
    fn take(&mut self, seq: u64) -> Option<PendingWrite> {
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

    fn unblock(&mut self, key: &Arc<str>) -> Option<PendingWrite> {
        let item = self.blocked.remove(key)?;
        self.waits_no_more(&item);
        Some(item)
    }

    fn waits_no_more(&mut self, item: &PendingWrite) {
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
}

#[cfg(test)]
mod tests;
