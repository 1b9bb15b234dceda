//! A seat: one job of a running host and everything known about it, whatever version of it is in force.
//!
//! Plain state, owned by the supervisor. Must never start or await anything.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::{BootTime, Grant};

use super::bench::Bench;
use super::machine::{Ending, Lack, Machine, Rules, State};
use super::provision::Provisions;

/// How far a change of a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in force.
    Now,
    /// The run under way goes on as it began; the change is in force with the next one.
    NextRun,
}

/// One job and everything known about it.
pub(crate) struct Seat {
    pub(crate) bench: Arc<Bench>,
    /// What takes its place when this one has ended.
    pub(crate) next: Option<Box<Bench>>,
    /// Whether the job goes when it has ended.
    pub(crate) leaving: bool,
    pub(crate) machine: Machine,
    pub(crate) state: State,
    /// The grant, while no piece of work has it.
    pub(crate) grant: Option<Box<Grant>>,
    /// Resources of the next run, while it is on its way and no piece of work has them.
    pub(crate) provisions: Option<Provisions>,
    /// Why the job stands back, and since when.
    pub(crate) lack: Option<(Lack, SystemTime)>,
    /// When the grant came, until somebody has said so.
    pub(crate) acquired: Option<BootTime>,
    /// Runs under the current grant so far.
    pub(crate) sequence: u32,
    pub(crate) since: SystemTime,
    pub(crate) last: Option<leasehold_records::Outcome>,
    pub(crate) detail: String,
    /// True if what follows waits for the store, which did not answer.
    pub(crate) awaits_store: bool,
    /// When the last request that a failure is judged by was sent.
    pub(crate) asked: BootTime,
    pub(crate) progress: Option<leasehold_records::Progress>,
    pub(crate) token: Option<u64>,
}

impl Seat {
    pub(crate) fn new(bench: Bench) -> Self {
        Self {
            machine: Machine::new(rules(&bench)),
            bench: Arc::new(bench),
            next: None,
            leaving: false,
            state: State::Ended(Ending::Stopped),
            grant: None,
            provisions: None,
            lack: None,
            acquired: None,
            sequence: 0,
            since: SystemTime::now(),
            last: None,
            detail: String::new(),
            awaits_store: false,
            asked: BootTime::BOOT,
            progress: None,
            token: None,
        }
    }

    /// The seat of the same job's next version, which keeps how the last run ended.
    pub(crate) fn succeeded_by(&self, bench: Bench) -> Self {
        Self {
            last: self.last,
            ..Self::new(bench)
        }
    }

    /// Settles what is told and kept of a job that has come to its present state: what a run needs is kept on
    /// the way to one, and a reason to stand back is over when the way is free.
    pub(crate) fn settle(&mut self) {
        let (on_its_way, may_lack) = match &self.state {
            State::StandingBack { .. } | State::Releasing { .. } => (false, true),
            State::Looking { .. } => (true, true),
            State::Waiting { .. } => (true, self.provisions.is_none()),
            State::Claiming { .. } | State::Running { .. } => (true, false),
            State::Sleeping { .. }
            | State::Pausing { .. }
            | State::Marking { .. }
            | State::Ended(_) => (false, false),
        };
        if !on_its_way {
            self.provisions = None;
        }
        if !may_lack && self.lack.take().is_some() {
            self.detail.clear();
        }
        if let (State::StandingBack { .. }, Some((_, since))) = (&self.state, &self.lack) {
            self.since = *since;
        }
    }

    /// Takes in why the job stands back. Returns whether that is news.
    pub(crate) fn stand_back(&mut self, lack: &Lack) -> bool {
        let known = self.lack.as_ref().map(|(known, _)| known);
        let is_news = known.is_none_or(|known| !known.is_like(lack));
        lack.reason().clone_into(&mut self.detail);
        if is_news {
            self.lack = Some((lack.clone(), self.since));
        }
        self.settle();
        is_news
    }

    /// True if it stands back for want of a slot.
    pub(crate) const fn lacks_slot(&self) -> bool {
        matches!(self.lack, Some((Lack::Slot(_), _)))
    }

    /// Lets the job end after what it does now. Sleeps, waits and pauses end at once; a guest is not
    /// asked.
    pub(crate) fn end(&mut self) {
        self.machine.stopping = true;
        self.bench.cancel.cancel();
    }

    /// Takes a new bench: in place when it waits for the same lock by the same rules, else when the job
    /// as it was has ended.
    pub(crate) fn take_bench(&mut self, mut bench: Box<Bench>) -> Taken {
        let is_ending = self.machine.stopping || matches!(self.state, State::Ended(_));
        let runs = matches!(self.state, State::Running { .. });
        if !is_ending && self.bench.job.queues_like(&bench.job) {
            // Whoever works for this job listens to these.
            bench.cancel = self.bench.cancel.clone();
            bench.stop = self.bench.stop.clone();
            let old = std::mem::replace(&mut self.bench, Arc::new(*bench));
            old.superseded.cancel();
        } else {
            self.leaving = false;
            self.next = Some(bench);
            self.end();
        }
        if runs { Taken::NextRun } else { Taken::Now }
    }
}

fn rules(bench: &Bench) -> Rules {
    Rules {
        schedule: bench.job.schedule().clone(),
        restart: bench.job.restart(),
        retries: bench.job.retries(),
    }
}
