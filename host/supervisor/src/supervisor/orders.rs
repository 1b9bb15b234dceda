//! Following the orders of operators: holds of jobs, the drain of this host, requested runs.

use std::sync::Arc;
use std::time::Duration;

use leasehold_config::wall::UnixMs;
use leasehold_records::{DrainMark, HoldKind, HoldMark, JobHold};

use super::job_table::JobTable;
use crate::control::ControlHandle;
use crate::event::{EventContext, EventKind};
use crate::job::entry::JobEntry;

/// State of the drain of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DrainState {
    /// The host is not drained.
    None,
    /// The host was started while it was drained, or is to go on without runs.
    StandsBy(DrainMark),
    /// The host ends when its last run has ended.
    Ends(DrainMark),
}

/// The orders as this host follows them.
pub(super) struct OrderFollower {
    host: Arc<str>,
    control: ControlHandle,
    /// The pause of all jobs, as it was logged.
    all: Option<HoldMark>,
    drain: DrainState,
    /// Time of the next hold that ends by itself, as of the last application.
    next_end: Option<UnixMs>,
    /// True until the first orders were read: a drain among them does not end the host.
    is_starting: bool,
}

impl OrderFollower {
    pub(super) const fn new(host: Arc<str>, control: ControlHandle) -> Self {
        Self {
            host,
            control,
            all: None,
            drain: DrainState::None,
            next_end: None,
            is_starting: true,
        }
    }

    /// Resolves when the orders have been read for the first time.
    pub(super) async fn known(&mut self) {
        self.control.known().await;
    }

    /// Resolves when the orders have changed, or one of them may have ended by itself.
    pub(super) async fn changed(&mut self) {
        let nap = self.control.nap_until(self.next_end);
        tokio::select! {
            () = self.control.changed() => {}
            // Not before a moment has passed, for clocks of different steps.
            () = tokio::time::sleep(nap.max(Duration::from_millis(5))) => {}
        }
    }

    /// Applies the orders to the jobs, logs what is new, and starts requested runs.
    pub(super) fn apply(&mut self, jobs: &mut JobTable) {
        self.next_end = self.control.next_end();
        self.apply_holds(jobs);
        self.follow_drain(jobs);
        self.is_starting = false;
        self.start_manual_runs(jobs);
    }

    /// Starts the requested runs that are open, for jobs that have none under way.
    pub(super) fn start_manual_runs(&self, jobs: &mut JobTable) {
        if self.control.now().has_triggers() {
            jobs.start_manual_runs(&self.control, &self.host);
        }
    }

    /// Returns the reason for which the host ends now: it is drained, and no job is busy.
    pub(super) fn find_end(&self, jobs: &JobTable) -> Option<String> {
        let DrainState::Ends(drain) = &self.drain else {
            return None;
        };
        let is_busy = jobs.entries.values().any(JobEntry::is_busy);
        (!is_busy).then(|| format!("drained {}", drain.mark))
    }

    fn apply_holds(&mut self, jobs: &mut JobTable) {
        let numbers: Vec<usize> = jobs.entries.keys().copied().collect();
        for at in numbers {
            let Some(entry) = jobs.entries.get_mut(&at) else {
                continue;
            };
            let holds = self.control.holds(&entry.context.name);
            let (before, now) = (find_pause(entry.holds()), find_pause(&holds));
            if entry.set_holds(holds) {
                jobs.unwritten.insert(at);
            }
            if before != now {
                jobs.log(at, describe_pause(now));
            }
        }
        let all = self.control.pause_of_all();
        if all != self.all {
            let event = describe_pause(all.clone());
            jobs.event_log.emit(EventContext::default(), event);
            self.all = all;
        }
    }

    fn follow_drain(&mut self, jobs: &JobTable) {
        let mark = self.control.now().drain.clone();
        let drain = match (mark, &self.drain) {
            (None, _) => DrainState::None,
            (Some(mark), DrainState::StandsBy(known)) if known.mark == mark.mark => {
                DrainState::StandsBy(mark)
            }
            (Some(mark), _) if self.is_starting || mark.keep => DrainState::StandsBy(mark),
            (Some(mark), _) => DrainState::Ends(mark),
        };
        if drain == self.drain {
            return;
        }
        let event = match &drain {
            DrainState::None => EventKind::Undrained,
            DrainState::StandsBy(drain) => describe_drain(drain, false),
            DrainState::Ends(drain) => describe_drain(drain, true),
        };
        jobs.event_log.emit(EventContext::default(), event);
        self.drain = drain;
    }
}

/// Returns the pause of one job among its holds.
fn find_pause(holds: &[JobHold]) -> Option<HoldMark> {
    let hold = holds.iter().find(|hold| hold.kind == HoldKind::Paused);
    hold.map(|hold| hold.mark.clone())
}

fn describe_pause(mark: Option<HoldMark>) -> EventKind {
    match mark {
        None => EventKind::Resumed,
        Some(mark) => EventKind::Paused {
            by: mark.by,
            why: mark.why,
            until: mark.until_unix_ms.map(|until| until.to_string()),
        },
    }
}

fn describe_drain(drain: &DrainMark, ends: bool) -> EventKind {
    EventKind::Drained {
        by: drain.mark.by.clone(),
        why: drain.mark.why.clone(),
        ends,
    }
}
