//! Records of jobs whose runs come too fast for one each: such runs share one.
//!
//! Pure: time comes from outside. A job may have [`BURST`] records at once, and then one each [`EVERY`]; runs that
//! end meanwhile are merged by outcome. So a job that runs ten times a second, by its own will or because it fails,
//! costs the store as little as one that runs six times a minute, and its history reaches as far back.
//! A loss of the lock, a stop or a failure for good is never merged.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use leasehold_records::{Outcome, RunRecord};
use tokio::time::Instant;

/// Records of one job that may follow one another at once: enough for a person who tries a job by hand.
const BURST: u32 = 10;
/// Time between two records of one job after that. A host that dies loses the merged runs of that time.
const EVERY: Duration = Duration::from_secs(10);
/// Merged records of one job that may wait, each of another outcome or plugin.
const MOST_GROUPS: usize = 8;

#[derive(Debug)]
struct Allowance {
    /// When the job will have had no record for so long that it may have [`BURST`] again.
    full_at: Instant,
    /// Merged records that wait, the latest last.
    groups: Vec<RunRecord>,
    /// When they are to be written.
    due: Instant,
}

/// The allowances of all jobs that have run here.
#[derive(Debug, Default)]
pub(super) struct Merging {
    jobs: HashMap<String, Allowance>,
    queue: BTreeSet<(Instant, String)>,
    waiting: usize,
}

impl Allowance {
    /// When the next record may be written.
    fn next(&self) -> Instant {
        self.full_at
            .checked_sub(EVERY * (BURST - 1))
            .unwrap_or(self.full_at)
    }

    /// Takes in that a record is written. Records that cannot be merged leave no debt beyond the next one.
    fn spend(&mut self, now: Instant) {
        self.full_at = (self.full_at.max(now) + EVERY).min(now + EVERY * BURST);
    }
}

impl Merging {
    /// When a job with so many records that the next one must wait may have it.
    pub(super) fn waits_until(&self, job: &str, now: Instant) -> Option<Instant> {
        let allowance = self.jobs.get(job)?;
        if allowance.groups.is_empty() {
            Some(allowance.next()).filter(|next| *next > now)
        } else {
            Some(allowance.due.max(now))
        }
    }

    /// Takes in that a record of a job is written by itself.
    pub(super) fn spend(&mut self, job: &str, now: Instant) {
        if let Some(allowance) = self.jobs.get_mut(job) {
            allowance.spend(now);
        } else {
            let allowance = Allowance {
                full_at: now + EVERY,
                groups: Vec::new(),
                due: now,
            };
            self.jobs.insert(job.to_owned(), allowance);
        }
    }

    /// True for ends of which several may be one record.
    pub(super) const fn may_merge(outcome: Outcome) -> bool {
        match outcome {
            Outcome::Done
            | Outcome::Again
            | Outcome::Retry
            | Outcome::Exit
            | Outcome::Trap
            | Outcome::Limit
            | Outcome::Timeout => true,
            Outcome::Running
            | Outcome::Fatal
            | Outcome::Lost
            | Outcome::Stopped
            | Outcome::Abandoned
            | Outcome::Crashed => false,
        }
    }

    /// Adds the run of a job whose next record must wait.
    pub(super) fn add(&mut self, record: RunRecord, now: Instant) {
        let Some(allowance) = self.jobs.get_mut(&record.job) else {
            return;
        };
        if allowance.groups.is_empty() {
            allowance.due = allowance.next().max(now);
            self.queue.insert((allowance.due, record.job.clone()));
        }
        let groups = &mut allowance.groups;
        let same = groups.iter().position(|group| record.continues(group));
        // Of too many the oldest is one with the newest, whatever differs: its runs stay counted.
        let at = same.or_else(|| (groups.len() == MOST_GROUPS).then_some(0));
        let record = if let Some(at) = at {
            record.after(&groups.remove(at))
        } else {
            self.waiting += 1;
            record
        };
        groups.push(record);
    }

    /// When the next merged records are due.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Merged records that wait.
    pub(super) const fn len(&self) -> usize {
        self.waiting
    }

    /// The merged records that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<RunRecord> {
        let mut due = Vec::new();
        while let Some((at, job)) = self.queue.first()
            && *at <= now
        {
            let job = job.clone();
            due.extend(self.release(&job, now));
        }
        due
    }

    /// The merged records of one job, due or not.
    pub(super) fn release(&mut self, job: &str, now: Instant) -> Vec<RunRecord> {
        let Some(allowance) = self.jobs.get_mut(job) else {
            return Vec::new();
        };
        let groups = std::mem::take(&mut allowance.groups);
        if !groups.is_empty() {
            self.queue.remove(&(allowance.due, job.to_owned()));
            self.waiting -= groups.len();
            allowance.spend(now);
        }
        groups
    }

    /// Forgets a removed job. Returns its merged records.
    pub(super) fn forget(&mut self, job: &str, now: Instant) -> Vec<RunRecord> {
        let groups = self.release(job, now);
        self.jobs.remove(job);
        groups
    }

    /// The merged records of all jobs.
    pub(super) fn release_all(&mut self, now: Instant) -> Vec<RunRecord> {
        let jobs: Vec<String> = self.queue.iter().map(|(_, job)| job.clone()).collect();
        let all = jobs.iter().flat_map(|job| self.release(job, now));
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(token: u64, outcome: Outcome) -> RunRecord {
        RunRecord {
            ended_unix_ms: Some(1_001),
            outcome,
            output: format!("line of {token}"),
            ..super::super::sample(token)
        }
    }

    /// Runs the job each 100 ms for so long; gives the records written by themselves and those merged.
    fn run(merging: &mut Merging, start: Instant, count: u64) -> (u64, Vec<RunRecord>) {
        let (mut alone, mut merged) = (0, Vec::new());
        for token in 1..=count {
            let now = start + Duration::from_millis(100) * u32::try_from(token).unwrap();
            merged.extend(merging.due(now));
            if merging.waits_until("j", now).is_some() {
                let outcome = match token % 50 {
                    0 => Outcome::Exit,
                    _ => Outcome::Done,
                };
                merging.add(ended(token, outcome), now);
            } else {
                merging.spend("j", now);
                alone += 1;
            }
        }
        (alone, merged)
    }

    #[test]
    fn a_job_that_runs_without_pause_has_few_records_and_each_run_is_in_one() {
        let (mut merging, start) = (Merging::default(), Instant::now());
        let (alone, mut merged) = run(&mut merging, start, 3_000);
        assert_eq!(alone, 10);
        // Five minutes at one each ten seconds, of two outcomes.
        assert!((52..=60).contains(&merged.len()), "{}", merged.len());
        merged.extend(merging.release_all(start));
        let runs: u64 = merged.iter().map(RunRecord::runs).sum();
        assert_eq!(runs + alone, 3_000);
        assert_eq!((merging.len(), merging.wake()), (0, None));
        let failed: Vec<_> = merged
            .iter()
            .filter(|run| run.outcome == Outcome::Exit)
            .collect();
        assert_eq!(failed.iter().map(|run| run.runs()).sum::<u64>(), 60);
        // The text of the last of them, by itself.
        assert!(
            failed
                .iter()
                .all(|run| run.output == format!("line of {}", run.token))
        );
    }

    #[test]
    fn a_job_at_rest_has_its_records_at_once_again() {
        let (mut merging, start) = (Merging::default(), Instant::now());
        run(&mut merging, start, 200);
        let later = start + Duration::from_mins(10);
        merging.due(later);
        let later = later + EVERY * BURST;
        for _ in 0..BURST {
            assert_eq!(merging.waits_until("j", later), None);
            merging.spend("j", later);
        }
        assert_eq!(merging.waits_until("j", later), Some(later + EVERY));
    }

    /// Fails when each record that had to be written at once puts the next merged one off further.
    #[test]
    fn records_beyond_the_allowance_leave_no_debt() {
        let (mut merging, start) = (Merging::default(), Instant::now());
        for _ in 0..1_000 {
            merging.spend("j", start);
        }
        assert_eq!(merging.waits_until("j", start), Some(start + EVERY));
    }

    #[test]
    fn outcomes_and_plugins_beyond_the_bound_share_a_record_and_stay_counted() {
        let (mut merging, start) = (Merging::default(), Instant::now());
        for _ in 0..BURST {
            merging.spend("j", start);
        }
        for token in 0..40 {
            let mut record = ended(token, Outcome::Done);
            record.plugin_sha256 = token.to_string();
            merging.add(record, start);
        }
        assert_eq!(merging.len(), MOST_GROUPS);
        let all = merging.forget("j", start);
        assert_eq!(all.iter().map(RunRecord::runs).sum::<u64>(), 40);
        assert_eq!((merging.len(), merging.wake()), (0, None));
    }
}
