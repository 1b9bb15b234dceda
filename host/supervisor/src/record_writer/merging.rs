//! Merging the records of jobs whose runs come too fast for one record each.
//!
//! Pure: time is passed in. A job may have [`BURST`] records at once, and then one each [`EVERY`]; runs that end
//! meanwhile are merged by outcome. A job may run ten times a second, on purpose or because it fails. It then costs
//! the store as little as one that runs six times a minute, and its history reaches as far back. A loss of the
//! lock, a stop or a fatal failure is never merged.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use leasehold_records::{Outcome, RunRecord};
use tokio::time::Instant;

/// Number of records of one job that may follow one another at once: enough for a person who tries a job by hand.
const BURST: u32 = 10;
/// Time between two records of one job after that. A host that dies loses the merged runs of that time.
const EVERY: Duration = Duration::from_secs(10);
/// Number of merged records of one job that may wait, each of another outcome or plugin.
const MOST_GROUPS: usize = 8;

#[derive(Debug)]
struct Allowance {
    /// Time when the job has had no record for so long that it may have [`BURST`] again.
    full_at: Instant,
    /// Merged records that wait, the latest last.
    groups: Vec<RunRecord>,
    /// Time when they are to be written.
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
    /// Returns the time when the next record may be written.
    fn next(&self) -> Instant {
        self.full_at
            .checked_sub(EVERY * (BURST - 1))
            .unwrap_or(self.full_at)
    }

    /// Counts a written record. Records that cannot be merged delay the next one, but none after it.
    fn spend(&mut self, now: Instant) {
        self.full_at = (self.full_at.max(now) + EVERY).min(now + EVERY * BURST);
    }
}

impl Merging {
    /// Returns the time of a job's next record, if the job has so many that the next one must wait.
    pub(super) fn waits_until(&self, job: &str, now: Instant) -> Option<Instant> {
        let allowance = self.jobs.get(job)?;
        if allowance.groups.is_empty() {
            Some(allowance.next()).filter(|next| *next > now)
        } else {
            Some(allowance.due.max(now))
        }
    }

    /// Counts a record of a job that is written by itself.
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

    /// True for outcomes of which several runs may share a record.
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
        // Beyond the bound, the oldest group is merged with the newest run, whatever differs: its runs stay
        // counted.
        let at = same.or_else(|| (groups.len() == MOST_GROUPS).then_some(0));
        let record = if let Some(at) = at {
            record.after(&groups.remove(at))
        } else {
            self.waiting += 1;
            record
        };
        groups.push(record);
    }

    /// Returns the time when the next merged records are due.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Returns the number of merged records that wait.
    pub(super) const fn len(&self) -> usize {
        self.waiting
    }

    /// Returns the merged records that are due.
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

    /// Returns the merged records of one job, due or not.
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

    /// Removes the allowance of a removed job. Returns its merged records.
    pub(super) fn forget(&mut self, job: &str, now: Instant) -> Vec<RunRecord> {
        let groups = self.release(job, now);
        self.jobs.remove(job);
        groups
    }

    /// Returns the merged records of all jobs.
    pub(super) fn release_all(&mut self, now: Instant) -> Vec<RunRecord> {
        let jobs: Vec<String> = self.queue.iter().map(|(_, job)| job.clone()).collect();
        let all = jobs.iter().flat_map(|job| self.release(job, now));
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_records::UnixMs;

    use super::*;

    fn ended(token: u64, outcome: Outcome) -> RunRecord {
        RunRecord {
            ended_unix_ms: Some(UnixMs::new(1_001)),
            outcome,
            output: format!("line of {token}"),
            ..super::super::sample(token)
        }
    }

    /// Runs the job each 100 ms for so long; returns the records written by themselves and those merged.
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
    fn job_without_pause_has_few_records_with_each_run_in_one() {
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
        // The output of the last of them, by itself.
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

    /// Fails when each record that had to be written at once delays the next merged one further.
    #[test]
    fn records_beyond_the_allowance_leave_no_debt() {
        let (mut merging, start) = (Merging::default(), Instant::now());
        for _ in 0..1_000 {
            merging.spend("j", start);
        }
        assert_eq!(merging.waits_until("j", start), Some(start + EVERY));
    }

    #[test]
    fn groups_beyond_the_bound_share_a_record_and_are_counted() {
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
