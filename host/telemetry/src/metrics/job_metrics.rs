//! Counters and state of one job on one host.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leasehold_lock::{BootTime, EndReason};
use leasehold_records::{JobRecord, JobState};
use leasehold_supervisor::event::SkipCause;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Outcomes of runs, as in the event `run-ended`, and those that another process or a later one found out.
pub(super) const OUTCOMES: [&str; 12] = [
    "done",
    "again",
    "retry",
    "fatal",
    "exit",
    "trap",
    "limit",
    "timeout",
    "lost",
    "stopped",
    "crashed",
    "abandoned",
];
/// Outcome of a run in which the process died.
pub(crate) const CRASHED: &str = "crashed";
/// Outcome of a run whose host vanished, counted by the host that found out.
pub(crate) const ABANDONED: &str = "abandoned";
/// Results of ticks: the first is a run, the others are those of [`SKIPS`].
pub(super) const TICK_RESULTS: [&str; 5] = ["run", "missed", "contended", "held", "already-run"];
/// Place of a run in [`TICK_RESULTS`].
pub(crate) const TICK_RUN: usize = 0;
/// Places of skipped ticks in [`TICK_RESULTS`].
pub(crate) const SKIPS: [(SkipCause, usize); 4] = [
    (SkipCause::Missed, 1),
    (SkipCause::Contended, 2),
    (SkipCause::Held, 3),
    (SkipCause::AlreadyRun, 4),
];

/// Bounds of waits, holds and runs, in seconds.
const LONG: [f64; 9] = [0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0];

/// Counters and state of one job.
#[derive(Debug)]
pub(crate) struct JobMetrics {
    runs: [Counter; OUTCOMES.len()],
    losses: [Counter; EndReason::LOSSES.len()],
    ticks: [Counter; TICK_RESULTS.len()],
    pub(crate) wait: Histogram,
    pub(crate) hold: Histogram,
    pub(crate) run_time: Histogram,
    pub(crate) calls: Counter,
    pub(crate) calls_refused: Counter,
    pub(crate) writes_refused: Counter,
    pub(crate) lines_dropped: Counter,
    state: Mutex<JobFacts>,
    /// False for the job that many share: it has counters and no state.
    has_state: bool,
}

/// State of a job, as last reported.
#[derive(Debug)]
pub(crate) struct JobFacts {
    /// Its record; nothing before the first.
    pub(crate) record: Option<JobRecord>,
    pub(crate) plugin_sha256: String,
    /// Time between its newest tick and the next one.
    pub(crate) tick_gap: Option<Duration>,
    /// Peak memory of the last run.
    pub(crate) peak_memory_bytes: u64,
    pub(crate) is_quarantined: bool,
    /// Last success; until the first one, the time at which the job was first reported.
    pub(crate) last_success: SystemTime,
    pub(crate) last_end: Option<SystemTime>,
    /// The tick of the last run that began one.
    counted_tick: Option<String>,
    held_since: Option<BootTime>,
}

impl JobMetrics {
    pub(crate) fn new(has_state: bool) -> Self {
        Self {
            runs: Default::default(),
            losses: Default::default(),
            ticks: Default::default(),
            wait: Histogram::new(LONG),
            hold: Histogram::new(LONG),
            run_time: Histogram::new(LONG),
            calls: Counter::default(),
            calls_refused: Counter::default(),
            writes_refused: Counter::default(),
            lines_dropped: Counter::default(),
            state: Mutex::new(JobFacts {
                record: None,
                plugin_sha256: String::new(),
                tick_gap: None,
                peak_memory_bytes: 0,
                is_quarantined: false,
                last_success: SystemTime::now(),
                last_end: None,
                counted_tick: None,
                held_since: None,
            }),
            has_state,
        }
    }

    /// Locks the state; `None` for the job that many share.
    pub(crate) fn facts(&self) -> Option<MutexGuard<'_, JobFacts>> {
        let facts = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_state.then(facts)
    }

    /// The lock was acquired at this moment.
    pub(crate) fn acquire(&self, at: BootTime) {
        if let Some(mut facts) = self.facts() {
            facts.held_since = Some(at);
        }
    }

    /// The lock is no longer held since this moment. Only the first report counts.
    pub(crate) fn leave(&self, at: BootTime) {
        let since = self.facts().and_then(|mut facts| facts.held_since.take());
        if let Some(since) = since {
            self.hold.observe(at.since(since).as_secs_f64());
        }
    }

    /// Forgets what ends with the host.
    pub(crate) fn forget(&self) {
        if let Some(mut facts) = self.facts() {
            facts.held_since = None;
            facts.record = None;
        }
    }

    /// Counts a run that ended with this outcome.
    pub(crate) fn count_run(&self, outcome: &str) {
        count(&OUTCOMES, &self.runs, outcome);
        if matches!(outcome, "done" | "again")
            && let Some(mut facts) = self.facts()
        {
            facts.last_success = SystemTime::now();
        }
    }

    /// Counts a loss of the lock for this cause.
    pub(crate) fn count_loss(&self, cause: &str) {
        count(&EndReason::LOSSES, &self.losses, cause);
    }

    /// Counts a tick with the result at this place of [`TICK_RESULTS`].
    pub(crate) fn count_tick(&self, at: usize) {
        if let Some(counter) = self.ticks.get(at) {
            counter.inc();
        }
    }

    /// Notes the tick of a run, and returns true if no run before was of it: a run that ends with `again` is followed by
    /// others of the same tick. The job that many share has no memory of ticks, and every run counts.
    pub(crate) fn is_new_tick(&self, tick: &str) -> bool {
        let Some(mut facts) = self.facts() else {
            return true;
        };
        let is_new = facts.counted_tick.as_deref() != Some(tick);
        if is_new {
            facts.counted_tick = Some(tick.to_owned());
        }
        is_new
    }

    pub(super) fn runs(&self, at: usize) -> u64 {
        self.runs.get(at).map_or(0, Counter::get)
    }

    pub(super) fn losses(&self, at: usize) -> u64 {
        self.losses.get(at).map_or(0, Counter::get)
    }

    pub(super) fn ticks(&self, at: usize) -> u64 {
        self.ticks.get(at).map_or(0, Counter::get)
    }
}

impl JobFacts {
    pub(super) const fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    pub(super) fn is_in(&self, state: JobState) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.state == state)
    }

    pub(super) fn is_under_hold(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| !record.holds.is_empty())
    }

    /// Start of the wait in the queue, in seconds since 1970; 0 while it does not wait.
    pub(super) fn awaited_since(&self) -> f64 {
        let record = self.record.as_ref();
        let waiting = record.filter(|record| record.state == JobState::Waiting);
        waiting.map_or(0.0, |record| {
            Duration::from_millis(record.since_unix_ms.as_u64()).as_secs_f64()
        })
    }
}

/// Seconds since 1970.
pub(super) fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Increments the counter of a word.
fn count(words: &[&str], counters: &[Counter], word: &str) {
    let mut all = words.iter().zip(counters);
    if let Some((_, counter)) = all.find(|(known, _)| **known == word) {
        counter.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skip_has_a_result_of_its_own() {
        let words = SKIPS.map(|(cause, at)| {
            let word = serde_json::to_value(cause).expect("a word");
            assert_eq!(word, TICK_RESULTS[at]);
            at
        });
        assert_eq!(words, [1, 2, 3, 4]);
        assert_eq!(TICK_RESULTS[TICK_RUN], "run");
    }
}
