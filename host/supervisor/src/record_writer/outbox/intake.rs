//! New records on their way into the outbox, and how long each may wait for others.

use std::sync::Arc;
use std::time::Duration;

use leasehold_records::{JobRecord, JobState, Root, RunRecord, UnixMs};
use tokio::time::Instant;

use super::pending_write::WriteContent;
use super::{Outbox, PROGRESS_LINGER, RunMark, StandingRecord};
use crate::record_writer::fit;
use crate::record_writer::merging::Merging;

/// Longest wait of a write for others to share its transaction. A tick is marked and its lock released within this
/// time of the run's end. So the record of the run and the state of its job are one transaction.
pub(super) const LINGER: Duration = Duration::from_millis(25);
/// As [`LINGER`], for the start of a run: a host that dies within this time leaves no record of the run.
pub(super) const START_LINGER: Duration = Duration::from_millis(3);
/// As [`LINGER`], for the states between two rests of a job whose runs are quick: the next rest replaces them.
const PASSING_LINGER: Duration = Duration::from_millis(250);
/// As [`LINGER`], for the start of a run of a job that has too many records, and for a state that may be short. A
/// run that ends within this time is merged with others.
pub(super) const BRIEF: Duration = Duration::from_secs(1);
/// Size of the largest record of a job: in a larger one the guest's texts are left out.
const RECORD_BYTES: usize = 32 << 10;

impl Outbox {
    /// Adds the start of a run.
    pub(in crate::record_writer) fn run_started(
        &mut self,
        key: String,
        record: &RunRecord,
        now: Instant,
    ) {
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
    pub(in crate::record_writer) fn run_ended(
        &mut self,
        key: String,
        record: &RunRecord,
        now: Instant,
    ) {
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
        let is_start = matches!(&item.content, WriteContent::Run { mark, .. } if mark.is_first);
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
            shared: record.shared,
            token: record.token,
            is_first,
        };
        self.add(key.into(), WriteContent::Run { json, mark }, due, rides);
        self.keep_bounds();
    }

    /// Queues the merged records that are due.
    pub(in crate::record_writer) fn line_up(&mut self, root: &Root, now: Instant) {
        let due = self.merging.due(now);
        self.add_merged(root, due, now);
    }

    /// Queues all merged records, at the end of the host.
    pub(in crate::record_writer) fn line_up_all(&mut self, root: &Root, now: Instant) {
        let all = self.merging.release_all(now);
        self.add_merged(root, all, now);
    }

    fn add_merged(&mut self, root: &Root, records: Vec<RunRecord>, now: Instant) {
        for record in records {
            self.run(root.run(&record.key()), &record, true, (now, true));
        }
    }

    /// Adds the host's record.
    pub(in crate::record_writer) fn host(&mut self, key: String, json: Vec<u8>, now: Instant) {
        self.stand(key.into(), json, None, now + LINGER, true);
    }

    /// Adds the record of a job.
    pub(in crate::record_writer) fn job(&mut self, key: String, record: &JobRecord, now: Instant) {
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
    pub(in crate::record_writer) fn job_removed(
        &mut self,
        root: &Root,
        key: String,
        job: &str,
        now: Instant,
    ) {
        let key: Arc<str> = key.into();
        self.standing.remove(&key);
        self.took.remove(job);
        let merged = self.merging.forget(job, now);
        self.add_merged(root, merged, now);
        self.add(key, WriteContent::Removed, now + LINGER, true);
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
        let standing = StandingRecord {
            json: json.clone(),
            phase,
            written,
        };
        self.standing.insert(key.clone(), standing);
        self.add(key, WriteContent::Standing { json }, due, rides);
    }

    /// Removes a waiting standing record from its queue.
    fn forget_waiting(&mut self, key: &Arc<str>) {
        match self.seqs.get(key) {
            Some(seq) => drop(self.take(*seq)),
            None => drop(self.unblock(key)),
        }
    }

    /// Queues every standing record again: the lease that carried them has ended.
    pub(in crate::record_writer) fn rewrite_standing(&mut self, now: Instant) {
        let all: Vec<(Arc<str>, Vec<u8>)> = self
            .standing
            .iter()
            .map(|(key, standing)| (key.clone(), standing.json.clone()))
            .collect();
        for (key, json) in all {
            self.add(key, WriteContent::Standing { json }, now, true);
        }
    }

    /// Drops the standing records: the host ends, and they are deleted with its lease.
    pub(in crate::record_writer) fn forget_standing(&mut self) {
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
}
