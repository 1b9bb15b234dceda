//! Runs that were found without an end, until this host records one for them.
//!
//! A host that stops gives its lock back some milliseconds before the end of its last run is in the store. So a run gets
//! an end from its successor only if it has none after a while: the write fails if the record has changed meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use leasehold_lock::Revision;
use leasehold_records::{Outcome, RunRecord};
use tokio::time::Instant;

/// Time for which the run's own host may still record its end: for a write that was refused, and its repetition.
pub(super) const END_GRACE: Duration = Duration::from_secs(5);
/// The same while this host ends.
const CLOSING_GRACE: Duration = Duration::from_secs(1);
/// Number of runs that may wait. A further one may be found at the next visit.
const MOST: usize = 1024;

/// A run without an end: the key and the last change of its record, and the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnendedRun {
    pub(super) key: String,
    pub(super) revision: Revision,
    pub(super) record: RunRecord,
}

impl UnendedRun {
    /// Returns the record with its end.
    pub(super) fn ended(&self) -> RunRecord {
        RunRecord {
            outcome: Outcome::Abandoned,
            detail: format!(
                "no end was recorded; host {} vanished or could not reach the store",
                self.record.host
            ),
            ..self.record.clone()
        }
    }
}

/// The runs that wait, each with the time of its end.
#[derive(Debug, Default)]
pub(super) struct UnendedRuns {
    waiting: VecDeque<(Instant, UnendedRun)>,
    is_under_way: bool,
    is_closing: bool,
}

impl UnendedRuns {
    /// Adds a run, unless it waits already.
    pub(super) fn note(&mut self, run: UnendedRun, now: Instant) {
        let is_known = self.waiting.iter().any(|(_, known)| known.key == run.key);
        if !is_known && self.waiting.len() < MOST {
            self.waiting.push_back((now + self.grace(), run));
        }
    }

    /// Shortens the waits: this host ends, and no other may run the job.
    pub(super) fn close(&mut self) {
        let shorter = self.grace().saturating_sub(CLOSING_GRACE);
        for (due, _) in &mut self.waiting {
            *due -= shorter;
        }
        self.is_closing = true;
    }

    /// True if no run waits or is being ended.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.is_under_way
    }

    const fn grace(&self) -> Duration {
        if self.is_closing {
            CLOSING_GRACE
        } else {
            END_GRACE
        }
    }

    /// Returns the run to end now, if none is being ended.
    pub(super) fn begin(&mut self, now: Instant) -> Option<UnendedRun> {
        let is_due = self.wake().is_some_and(|due| due <= now);
        let (_, run) = self.waiting.pop_front_if(|_| is_due)?;
        self.is_under_way = true;
        Some(run)
    }

    /// Handles the end of a write; `again` is a run whose write failed.
    pub(super) fn written(&mut self, again: Option<UnendedRun>, now: Instant) {
        self.is_under_way = false;
        if let Some(run) = again {
            self.waiting.push_front((now, run));
        }
    }

    /// Returns the time when the next run is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        let first = self.waiting.front().filter(|_| !self.is_under_way);
        first.map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(token: u64) -> UnendedRun {
        UnendedRun {
            key: format!("/runs/j/{token}"),
            revision: Revision::new(i64::try_from(token).unwrap()),
            record: crate::record_writer::sample(token),
        }
    }

    #[test]
    fn run_is_ended_once_and_not_before_its_time() {
        let (mut runs, now) = (UnendedRuns::default(), Instant::now());
        runs.note(run(7), now);
        runs.note(run(7), now + END_GRACE / 2);
        assert_eq!(runs.begin(now), None);
        let due = now + END_GRACE;
        assert_eq!(runs.wake(), Some(due));
        assert_eq!(runs.begin(due), Some(run(7)));
        runs.written(None, due);
        assert_eq!(runs.begin(due + END_GRACE), None);
    }

    /// Fails if a host that ends leaves the runs that it found to hosts that may not come.
    #[test]
    fn host_that_ends_waits_for_a_shorter_time() {
        let (mut runs, now) = (UnendedRuns::default(), Instant::now());
        runs.note(run(7), now);
        runs.close();
        runs.note(run(8), now);
        let due = now + CLOSING_GRACE;
        assert_eq!(runs.begin(due), Some(run(7)));
        runs.written(None, due);
        assert!(!runs.is_empty());
        assert_eq!(runs.begin(due), Some(run(8)));
        assert!(!runs.is_empty(), "one is being ended");
        runs.written(None, due);
        assert!(runs.is_empty());
    }

    #[test]
    fn runs_are_ended_one_at_a_time_and_again_after_a_failure() {
        let (mut runs, now) = (UnendedRuns::default(), Instant::now());
        runs.note(run(7), now);
        runs.note(run(8), now);
        let due = now + END_GRACE;
        assert_eq!(runs.begin(due), Some(run(7)));
        assert_eq!((runs.begin(due), runs.wake()), (None, None));
        runs.written(Some(run(7)), due);
        assert_eq!(runs.begin(due), Some(run(7)));
        runs.written(None, due);
        assert_eq!(runs.begin(due), Some(run(8)));
    }
}
