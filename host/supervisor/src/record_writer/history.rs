//! The history of each job: kept bounded, with an end for every run that is over.
//!
//! A run that begins holds the job's lock. So an earlier run under that lock is over, even if its host died before
//! it wrote the end. Where others may hold the lock too, its entry decides, and the history is read again while the
//! own run goes on: no start need follow a death there. Reading it at every start would cost more than the records do. It
//! is read at the first run, and then after a number of runs or a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use leasehold_lock::{Batch, Kv, StoreError, Token};
use leasehold_records::{Outcome, Root, RunRecord, UnixMs};
use tokio::time::Instant;

use super::aged::count_aged;
use super::outbox::RunMark;
use super::rules::HistoryRules;
use super::run_fate::{RunFate, find_fate};
use super::sizes::Sizes;
use super::unended::UnendedRun;

/// Number of records kept of a job however large they are.
const FEWEST: usize = 5;
/// Bytes of the records kept for each job, beyond [`FEWEST`]: a hundred with 10 kB of output each.
const JOB_BYTES: usize = 1 << 20;
/// Bytes of the records of all jobs that have run here: a thirtieth of etcd's default quota.
const ALL_BYTES: usize = 64 << 20;
/// Number of earlier runs checked at the first visit for runs of dead hosts.
const LOOK_BACK: usize = 5;
/// Time between two visits of one job.
const VISIT_EVERY: Duration = Duration::from_secs(10);
/// Number of runs after which a job is visited earlier.
const VISIT_AFTER: u32 = 25;
/// Pause before a failed visit is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Time between two visits during a run whose lock others may hold too.
const SHARED_EVERY: Duration = Duration::from_secs(20);
/// Number of jobs visited together.
const VISITS: usize = 32;
/// Number of readings under way at once.
const AT_ONCE: usize = 4;

/// State of one job's history.
#[derive(Debug, Default)]
struct KnownHistory {
    visited: Option<Instant>,
    runs_since: u32,
    /// The runs that the last two visits were made for. The next visit starts from the older of them: a start that
    /// was written late has a lower token than runs already read.
    looked_from: [Option<Arc<str>>; 2],
    /// Sizes of its records.
    sizes: Sizes,
    /// The newest run since the last visit, and the time of the visit for it.
    waiting: Option<(Arc<str>, RunMark, Instant)>,
}

/// A visit of one job's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HistoryVisit {
    pub(super) own: Arc<str>,
    pub(super) mark: RunMark,
    pub(super) from: Option<Arc<str>>,
    /// Number of records to keep.
    kept: usize,
    /// Age from which a record is deleted.
    age: Option<Duration>,
}

/// Changes that a history needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HistoryFindings {
    /// The oldest runs, from the first key up to but not including the second.
    surplus: Option<(String, String)>,
    /// Runs without an end.
    unended: Vec<UnendedRun>,
    /// The first other run that goes on.
    open_from: Option<Arc<str>>,
    /// True if the run that the visit is made for goes on, where others may hold its lock.
    goes_on: bool,
    /// The newest failed run.
    failed: Option<FailedRun>,
}

/// A failed run, and the first success after it: its host and token.
#[derive(Debug, PartialEq, Eq)]
struct FailedRun {
    record: RunRecord,
    success: Option<(String, Token)>,
}

/// The histories of all jobs that have run here.
#[derive(Debug, Default)]
pub(super) struct Histories {
    rules: Arc<HistoryRules>,
    jobs: HashMap<String, KnownHistory>,
    queue: BTreeSet<(Instant, String)>,
}

impl Histories {
    /// Returns histories that are bounded by these rules.
    pub(super) fn new(rules: Arc<HistoryRules>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Records the size of a run's record.
    pub(super) fn wrote(&mut self, job: &str, key: Arc<str>, bytes: usize) {
        let known = match self.jobs.get_mut(job) {
            Some(known) => known,
            None => self.jobs.entry(job.to_owned()).or_default(),
        };
        known.sizes.add(key, bytes, self.rules.most_runs(job));
    }

    /// Records that a run was recorded for the first time.
    pub(super) fn ran(&mut self, own: Arc<str>, mark: RunMark, now: Instant) {
        let known = self.jobs.entry(mark.job.clone()).or_default();
        known.runs_since += 1;
        let due = match known.visited {
            Some(visited) if known.runs_since < VISIT_AFTER => (visited + VISIT_EVERY).max(now),
            _ => now,
        };
        let due = match known.waiting.take() {
            Some((_, _, before)) => {
                self.queue.remove(&(before, mark.job.clone()));
                due.min(before)
            }
            None => due,
        };
        self.queue.insert((due, mark.job.clone()));
        known.waiting = Some((own, mark, due));
    }

    /// Removes the state of a removed job.
    pub(super) fn forget(&mut self, job: &str) {
        self.rules.forget(job);
        if let Some(KnownHistory {
            waiting: Some((_, _, due)),
            ..
        }) = self.jobs.remove(job)
        {
            self.queue.remove(&(due, job.to_owned()));
        }
    }

    /// Returns the time when the next visit is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Returns the visits that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<HistoryVisit> {
        let mut visits = Vec::new();
        let bytes = JOB_BYTES.min(ALL_BYTES / self.jobs.len().max(1));
        while visits.len() < VISITS
            && let Some((due, job)) = self.queue.first().cloned()
            && due <= now
        {
            self.queue.pop_first();
            let Some(known) = self.jobs.get_mut(&job) else {
                continue;
            };
            let Some((own, mark, _)) = known.waiting.take() else {
                continue;
            };
            known.visited = Some(now);
            known.runs_since = 0;
            let [older, newer] = std::mem::take(&mut known.looked_from);
            let most = self.rules.most_runs(&job);
            visits.push(HistoryVisit {
                from: older.clone().or_else(|| newer.clone()),
                own: own.clone(),
                mark,
                kept: known.sizes.fitting(bytes, most).max(FEWEST).min(most),
                age: self.rules.get(&job).age(),
            });
            known.looked_from = [newer.or(older), Some(own)];
        }
        visits
    }

    /// Takes note of runs that a visit left open: a visit of their job reads them again.
    pub(super) fn left_open(
        &mut self,
        visit: &HistoryVisit,
        found: &HistoryFindings,
        now: Instant,
    ) {
        if found.goes_on {
            self.visit_again(visit.clone(), now + SHARED_EVERY);
        }
        let known = self.jobs.get_mut(&visit.mark.job);
        if let (Some(known), Some(open)) = (known, &found.open_from) {
            known.looked_from[0] = Some(open.clone());
        }
    }

    /// Schedules a visit again that failed.
    pub(super) fn repeat(&mut self, visit: HistoryVisit, now: Instant) {
        self.visit_again(visit, now + AGAIN_AFTER);
    }

    fn visit_again(&mut self, visit: HistoryVisit, due: Instant) {
        let Some(known) = self.jobs.get_mut(&visit.mark.job) else {
            return;
        };
        known.looked_from = [visit.from, Some(visit.own.clone())];
        if known.waiting.is_none() {
            self.queue.insert((due, visit.mark.job.clone()));
            known.waiting = Some((visit.own, visit.mark, due));
        }
    }
}

/// Reads the histories of some jobs.
pub(super) async fn look(
    kv: Kv,
    root: Root,
    visits: Vec<HistoryVisit>,
    now: UnixMs,
) -> Vec<(HistoryVisit, Result<HistoryFindings, StoreError>)> {
    let looks = visits.into_iter().map(|visit| {
        let (kv, root) = (&kv, &root);
        async move {
            let found = look_at(kv, root, &visit, now).await;
            (visit, found)
        }
    });
    iter(looks).buffer_unordered(AT_ONCE).collect().await
}

async fn look_at(
    kv: &Kv,
    root: &Root,
    visit: &HistoryVisit,
    now: UnixMs,
) -> Result<HistoryFindings, StoreError> {
    let keys = kv.keys(&root.runs_of(&visit.mark.job)).await?;
    let aged = match visit.age {
        Some(age) => count_aged(kv, &keys, age, now).await?,
        None => 0,
    };
    let mut findings = HistoryFindings {
        surplus: surplus(&keys, visit.kept, aged),
        ..HistoryFindings::default()
    };
    if let Some(from) = looked_from(&keys, visit) {
        for entry in kv
            .scan_range(from, &looked_until(&keys, visit))
            .await?
            .found
        {
            let Ok(record) = RunRecord::from_json(&entry.value) else {
                continue;
            };
            if *entry.key == *visit.own {
                findings.goes_on = record.outcome == Outcome::Running;
            } else if is_open(&record, &visit.mark) {
                match find_fate(kv, &record, &visit.mark).await? {
                    RunFate::Abandoned => findings.unended.push(UnendedRun {
                        key: entry.key,
                        revision: entry.mod_revision,
                        record,
                    }),
                    RunFate::Open => drop(findings.open_from.get_or_insert(entry.key.into())),
                }
            } else if *entry.key < *visit.own {
                findings.note(record);
            }
        }
    }
    Ok(findings)
}

/// Returns the first of the runs to check; `None` when none exists.
fn looked_from<'a>(keys: &'a [String], visit: &HistoryVisit) -> Option<&'a str> {
    let earlier = keys.partition_point(|key| **key < *visit.own);
    let seen = visit.from.as_ref();
    let seen = seen.map_or(0, |from| keys.partition_point(|key| **key < **from));
    let at = match seen {
        // Any number of runs may go on together.
        0 if visit.mark.shared => 0,
        0 => earlier.saturating_sub(LOOK_BACK),
        seen => seen.min(earlier.saturating_sub(1)),
    };
    let has_others = earlier > 0 || visit.mark.shared;
    has_others.then(|| keys.get(at).map(String::as_str))?
}

/// Returns the end of the runs to check: the own run, or, where later ones may go on beside it, the last.
fn looked_until(keys: &[String], visit: &HistoryVisit) -> String {
    match keys.last().filter(|_| visit.mark.shared) {
        Some(last) => format!("{last}\0"),
        None => visit.own.to_string(),
    }
}

/// Returns the oldest runs: those that are `aged`, and those beyond the `kept` ones once there are a tenth more, which
/// are deleted together.
fn surplus(keys: &[String], kept: usize, aged: usize) -> Option<(String, String)> {
    let beyond = if keys.len() > kept + kept / 10 {
        keys.len() - kept
    } else {
        0
    };
    let end = beyond.max(aged);
    let first = keys.first().filter(|_| end > 0)?;
    Some((first.clone(), keys.get(end)?.clone()))
}

/// True if a run under the lock of `by` has no end, and may be over.
fn is_open(record: &RunRecord, by: &RunMark) -> bool {
    let is_unended = record.outcome == Outcome::Running && record.lock == by.lock;
    is_unended && (by.shared || record.token < by.token)
}

/// Deletes the oldest runs of some histories.
pub(super) async fn trim(kv: Kv, findings: Vec<HistoryFindings>) -> Result<(), StoreError> {
    let mut deletes = Batch::default();
    for found in findings {
        if let Some((first, end)) = &found.surplus {
            deletes.delete_range(first, end);
        }
    }
    if !deletes.is_empty() {
        kv.commit(deletes).await?;
    }
    Ok(())
}

impl HistoryFindings {
    /// Returns the runs without an end, and leaves them out.
    pub(super) fn take_unended(&mut self) -> Vec<UnendedRun> {
        std::mem::take(&mut self.unended)
    }

    /// Takes the next run in the order of tokens.
    fn note(&mut self, record: RunRecord) {
        if record.outcome.is_failure() {
            self.failed = Some(FailedRun {
                record,
                success: None,
            });
        } else if matches!(record.outcome, Outcome::Done | Outcome::Again)
            && let Some(failed) = &mut self.failed
        {
            failed.success.get_or_insert((record.host, record.token));
        }
    }

    /// Returns the newest failed run before the visit's own, if it was on another host than `host` and no success on
    /// a further host has followed it. Also returns the token of the success that has followed it on `host`.
    pub(super) fn failed_elsewhere(&self, host: &str) -> Option<(&RunRecord, Option<Token>)> {
        let failed = self.failed.as_ref()?;
        let success = failed.success.as_ref();
        let concerns = failed.record.host != host && success.is_none_or(|(on, _)| on == host);
        concerns.then_some((&failed.record, success.map(|(_, token)| *token)))
    }

    /// True if there is a run too many.
    pub(super) const fn has_surplus(&self) -> bool {
        self.surplus.is_some()
    }
}

#[cfg(test)]
mod tests;
