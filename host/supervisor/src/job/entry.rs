//! A job of a running host and everything known about it, whatever version of it is in force.
//!
//! Plain state, owned by the supervisor. Nothing here starts or awaits work.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::{BootTime, Grant};

use super::context::JobContext;
use super::machine::{Ending, Lack, Machine, Rules, State};
use super::provision::Provisions;

/// Time from which a change of a job is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The change is in force now.
    Now,
    /// The run under way goes on as it began; the change is in force with the next one.
    NextRun,
}

/// One job and everything known about it.
pub(crate) struct JobEntry {
    pub(crate) context: Arc<JobContext>,
    /// The version that follows when this one has ended.
    pub(crate) next: Option<Box<JobContext>>,
    /// True if the job is removed when it has ended.
    pub(crate) leaving: bool,
    pub(crate) machine: Machine,
    pub(crate) state: State,
    /// The grant, while no piece of work has it.
    pub(crate) grant: Option<Box<Grant>>,
    /// Resources of the next run, while it is about to start and no piece of work has them.
    pub(crate) provisions: Option<Provisions>,
    /// Reason for which the job stands back, and the time since when.
    pub(crate) lack: Option<(Lack, SystemTime)>,
    /// Time when the grant was acquired, until it has been logged.
    pub(crate) acquired: Option<BootTime>,
    /// Number of runs under the current grant so far.
    pub(crate) sequence: u32,
    pub(crate) since: SystemTime,
    pub(crate) last: Option<leasehold_records::Outcome>,
    pub(crate) detail: String,
    /// True if the next step waits for the store, which did not answer.
    pub(crate) awaits_store: bool,
    /// Time when the last request that a failure is judged by was sent.
    pub(crate) asked: BootTime,
    pub(crate) progress: Option<leasehold_records::Progress>,
    pub(crate) token: Option<u64>,
}

impl JobEntry {
    pub(crate) fn new(context: JobContext) -> Self {
        Self {
            machine: Machine::new(rules(&context)),
            context: Arc::new(context),
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

    /// Returns the entry of the same job's next version, which keeps the outcome of the last run.
    pub(crate) fn succeeded_by(&self, context: JobContext) -> Self {
        Self {
            last: self.last,
            ..Self::new(context)
        }
    }

    /// Brings resources and lack in line with the present state. Resources are kept only on the way to a run, and a
    /// lack is cleared once it has ended.
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

    /// Records the reason for which the job stands back. Returns true if it differs from the last one.
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

    /// True if the job stands back because it lacks a slot.
    pub(crate) const fn lacks_slot(&self) -> bool {
        matches!(self.lack, Some((Lack::Slot(_), _)))
    }

    /// Lets the job end after its present activity. Sleeps, waits and pauses end at once; a guest is not asked to
    /// stop.
    pub(crate) fn end(&mut self) {
        self.machine.stopping = true;
        self.context.cancel.cancel();
    }

    /// Takes a new version of the job. It takes effect in place if it waits for the same lock by the same rules,
    /// else when the old version has ended.
    pub(crate) fn take_context(&mut self, mut context: Box<JobContext>) -> Taken {
        let is_ending = self.machine.stopping || matches!(self.state, State::Ended(_));
        let runs = matches!(self.state, State::Running { .. });
        if !is_ending && self.context.job.queues_like(&context.job) {
            // Work under way for this job listens to these.
            context.cancel = self.context.cancel.clone();
            context.stop = self.context.stop.clone();
            let old = std::mem::replace(&mut self.context, Arc::new(*context));
            old.superseded.cancel();
        } else {
            self.leaving = false;
            self.next = Some(context);
            self.end();
        }
        if runs { Taken::NextRun } else { Taken::Now }
    }
}

fn rules(context: &JobContext) -> Rules {
    Rules {
        schedule: context.job.schedule().clone(),
        restart: context.job.restart(),
        retries: context.job.retries(),
    }
}
