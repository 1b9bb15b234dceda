//! A job of a running host and everything known about it, whatever version of it is in force.
//!
//! Plain state, owned by the supervisor. Nothing here starts or awaits work.
//!
//! - `record`: its record in the store.

mod record;

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_config::UpdateTime;
use leasehold_lock::Token;
use leasehold_records::{JobHold, Outcome, Progress};

use super::context::JobContext;
use super::held_lock::HeldLock;
use super::lack::RunLack;
use super::machine::{JobEnding, JobMachine, JobRules, MachineState};
use super::provision::RunProvisions;
use super::task::{TaskRequest, TaskResult};

/// Time from which a change of a job is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeStart {
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
    machine: JobMachine<HeldLock, RunProvisions>,
    state: MachineState<RunProvisions>,
    /// The last logged reason for which the job stands back, and the time since when.
    lack: Option<(RunLack, SystemTime)>,
    since: SystemTime,
    last: Option<Outcome>,
    progress: Option<Progress>,
    /// A run that an operator requested.
    manual: ManualTurn,
    /// The holds that were last logged and recorded.
    holds: Vec<JobHold>,
    /// The version of the run under way that a newer one waits for, and since when.
    outdated: Option<(Arc<JobContext>, SystemTime)>,
}

/// Activity of a job for a run that an operator requested, beside its own turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManualTurn {
    /// There is none.
    Idle,
    /// It waits for the lock.
    Waiting { since: SystemTime },
    /// Its guest runs under this token.
    Running { since: SystemTime, token: Token },
}

impl JobEntry {
    pub(crate) fn new(context: JobContext) -> Self {
        Self {
            machine: JobMachine::new(rules(&context)),
            context: Arc::new(context),
            next: None,
            leaving: false,
            state: MachineState::Ended(JobEnding::Stopped),
            lack: None,
            since: SystemTime::now(),
            last: None,
            progress: None,
            manual: ManualTurn::Idle,
            holds: Vec::new(),
            outdated: None,
        }
    }

    /// Returns the entry of the same job's next version, which keeps the outcome of the last run.
    pub(crate) fn succeeded_by(&self, context: JobContext) -> Self {
        Self {
            last: self.last,
            holds: self.holds.clone(),
            ..Self::new(context)
        }
    }

    pub(crate) const fn rules(&self) -> &JobRules {
        &self.machine.rules
    }

    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.state, MachineState::Ended(_))
    }

    /// True if the version in force has ended, and no requested run of it is waited for or under way.
    pub(crate) fn is_over(&self) -> bool {
        self.has_ended() && self.manual == ManualTurn::Idle
    }

    /// Begins the job. Returns the requests that follow.
    pub(crate) fn start(&mut self) -> Vec<TaskRequest> {
        let now = self.context.now();
        let (state, requests) = self.machine.start(now, fastrand::f64());
        self.enter(state);
        requests
    }

    /// Applies the result of a piece of work. Returns the requests that follow.
    pub(crate) fn take_result(&mut self, result: TaskResult) -> Vec<TaskRequest> {
        if let TaskResult::RunEnded { outcome, .. } = &result {
            self.last = Some(*outcome);
            self.progress = None;
        }
        let ended = MachineState::Ended(JobEnding::Stopped);
        let state = std::mem::replace(&mut self.state, ended);
        let now = self.context.now();
        let (state, requests) = self.machine.step(state, result, now, fastrand::f64());
        self.enter(state);
        requests
    }

    /// Ends a job whose work had an internal error. Returns the requests that follow.
    pub(crate) fn fail(&mut self, reason: String) -> Vec<TaskRequest> {
        let ending = JobEnding::Failed(reason);
        self.enter(MachineState::Ended(ending.clone()));
        vec![TaskRequest::LogEnded(ending)]
    }

    /// Records the progress that a guest reported.
    pub(crate) fn set_progress(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    fn enter(&mut self, state: MachineState<RunProvisions>) {
        self.state = state;
        self.since = SystemTime::now();
        self.keep_lack();
        if self.manual == ManualTurn::Idle {
            self.outdated = None;
        }
    }

    /// Changes the activity for a run that an operator requested. The end of a run has an outcome.
    pub(crate) fn set_manual(&mut self, manual: ManualTurn, ended: Option<Outcome>) {
        self.manual = manual;
        if ended.is_some() {
            self.last = ended;
            self.progress = None;
            self.outdated = None;
        }
    }

    /// Returns the holds that were last taken.
    pub(crate) fn holds(&self) -> &[JobHold] {
        &self.holds
    }

    /// Takes the holds that are in force. Returns true if they differ from those before.
    pub(crate) fn set_holds(&mut self, holds: Vec<JobHold>) -> bool {
        let is_news = self.holds != holds;
        self.holds = holds;
        is_news
    }

    /// True while the job has its lock, or is on its way to it.
    pub(crate) const fn is_busy(&self) -> bool {
        let is_idle = matches!(
            self.state,
            MachineState::Sleeping(_) | MachineState::StandingBack { .. } | MachineState::Ended(_)
        );
        !is_idle || !matches!(self.manual, ManualTurn::Idle)
    }

    /// True if a requested run may be waited for: the version in force does not end, and none is under way.
    pub(crate) fn takes_requests(&self) -> bool {
        self.manual == ManualTurn::Idle && !self.leaving && !self.context.cancel.is_cancelled()
    }

    /// Keeps the logged lack as long as the job stands back or may do so again, and dates its state from then.
    fn keep_lack(&mut self) {
        match &self.state {
            MachineState::StandingBack { .. } => {
                if let Some((_, since)) = &self.lack {
                    self.since = *since;
                }
            }
            MachineState::Looking { .. }
            | MachineState::Waiting { .. }
            | MachineState::Releasing { .. } => {}
            MachineState::Sleeping(_)
            | MachineState::Claiming { .. }
            | MachineState::Running { .. }
            | MachineState::Pausing { .. }
            | MachineState::Marking { .. }
            | MachineState::Ended(_) => self.lack = None,
        }
    }

    /// Clears the logged lack: the job has all that its run needs on this host.
    pub(crate) fn clear_lack(&mut self) {
        self.lack = None;
    }

    /// Records the reason for which the job stands back. Returns true if it differs from the last one.
    pub(crate) fn stand_back(&mut self, lack: &RunLack) -> bool {
        let known = self.lack.as_ref().map(|(known, _)| known);
        let is_news = known.is_none_or(|known| !known.is_like(lack));
        if is_news {
            self.lack = Some((lack.clone(), self.since));
        }
        self.keep_lack();
        is_news
    }

    /// True if the job stands back because it lacks a slot.
    pub(crate) const fn lacks_slot(&self) -> bool {
        matches!(self.lack, Some((RunLack::Slot(_), _)))
    }

    /// Lets the job end after its present activity. Sleeps, waits and pauses end at once; a guest is not asked to
    /// stop.
    pub(crate) fn end(&mut self) {
        self.machine.stopping = true;
        self.context.cancel.cancel();
    }

    /// Takes a new version of the job. It takes effect in place if it waits for the same lock by the same rules,
    /// else when the old version has ended.
    pub(crate) fn take_context(&mut self, mut context: Box<JobContext>) -> ChangeStart {
        let is_ending = self.machine.stopping || self.has_ended();
        let runs = matches!(self.state, MachineState::Running { .. })
            || matches!(self.manual, ManualTurn::Running { .. });
        if runs {
            self.note_outdated(&context);
            match context.job.update() {
                UpdateTime::Restart => self.context.update.cancel(),
                UpdateTime::NextRun => context.update = self.context.update.clone(),
            }
        }
        if !is_ending && self.context.job.queues_like(&context.job) {
            // Work under way for this job waits for these.
            context.cancel = self.context.cancel.clone();
            context.stop = self.context.stop.clone();
            let old = std::mem::replace(&mut self.context, Arc::new(*context));
            old.superseded.cancel();
        } else {
            self.leaving = false;
            self.next = Some(context);
            self.end();
        }
        if runs {
            ChangeStart::NextRun
        } else {
            ChangeStart::Now
        }
    }

    /// Notes that the run under way is of an older version than this one.
    fn note_outdated(&mut self, newest: &JobContext) {
        let (running, since) = self
            .outdated
            .take()
            .unwrap_or_else(|| (self.context.clone(), SystemTime::now()));
        let is_same = running.job == newest.job
            && running.plugin.facts().sha256 == newest.plugin.facts().sha256;
        self.outdated = (!is_same).then_some((running, since));
    }
}

fn rules(context: &JobContext) -> JobRules {
    JobRules {
        schedule: context.job.schedule().clone(),
        restart: context.job.restart(),
        retries: context.job.retries(),
    }
}
