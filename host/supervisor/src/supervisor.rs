//! The supervisor: owns the state of every job and runs the one loop that changes it.
//!
//! Work is done by tasks that each return one outcome. They share nothing but cheap handles, and none outlives the
//! loop: it ends when the last task has ended.
//!
//! Jobs are added, changed and removed while it runs. A change of a job never touches its running guest: the new
//! version waits for its turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{BootTime, Clock, StoreState};
use leasehold_records::{JobRecord, JobState};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};

use crate::end::HostEnd;
use crate::event::{EventContext, EventKind};
use crate::event_log::EventLog;
use crate::job::claiming;
use crate::job::closing;
use crate::job::context::JobContext;
use crate::job::entry::{JobEntry, Taken};
use crate::job::machine::{Action, Claim, Ending, Event, Lack, Missed, State, Until, Verdict};
use crate::job::run::{self, RunNumber};
use crate::job::waiting;
use crate::job::work::{self, Paused, TaskResult};
use crate::record_writer::{RecordWriter, text};
use crate::shutdown::ShutdownRequest;
use leasehold_config::wall::UnixMs;

/// Change of the jobs of a running host.
pub(crate) enum Change {
    /// A job that starts now, or a new version of a job, which takes effect at its next turn. The text is the
    /// reason when another file defines the job now.
    Set(Box<JobContext>, Option<String>),
    /// A job to end: its guest is asked to stop in its grace time, then the lock is given back.
    Remove(Arc<str>),
}

/// Stage of the host's shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Stopping,
    Aborted,
}

/// All jobs of one host.
pub(crate) struct Supervisor {
    /// Jobs in order of arrival; a number is never used again.
    job_entries: BTreeMap<usize, JobEntry>,
    next_seat: usize,
    tasks: JoinSet<TaskResult>,
    owners: HashMap<Id, usize>,
    clock: Arc<dyn Clock>,
    event_log: EventLog,
    record_writer: RecordWriter,
    end: HostEnd,
    stage: Stage,
    /// Start of the outage under way.
    store_lost: Option<BootTime>,
    /// Jobs whose state has changed since its record was written.
    unwritten: BTreeSet<usize>,
}

impl Supervisor {
    pub(crate) fn new(
        contexts: Vec<JobContext>,
        clock: Arc<dyn Clock>,
        event_log: EventLog,
        record_writer: RecordWriter,
    ) -> Self {
        let mut supervisor = Self {
            job_entries: BTreeMap::new(),
            next_seat: 0,
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            clock,
            event_log,
            record_writer,
            end: HostEnd::Done,
            stage: Stage::Running,
            store_lost: None,
            unwritten: BTreeSet::new(),
        };
        for context in contexts {
            supervisor.sit(JobEntry::new(context));
        }
        supervisor
    }

    /// Runs until every job has ended, by itself or on request. A host that `stays` also waits for jobs that may
    /// still come, until it is ordered to stop.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<ShutdownRequest>,
        mut progress: mpsc::Receiver<(Arc<str>, leasehold_records::Progress)>,
        mut changes: mpsc::Receiver<Change>,
        mut store: watch::Receiver<StoreState>,
        stays: bool,
    ) -> HostEnd {
        for at in self.job_entries.keys().copied().collect::<Vec<_>>() {
            self.start(at);
        }
        loop {
            let is_idle = self.tasks.is_empty();
            tokio::select! {
                biased;
                Some(request) = requests.recv() => self.obey(request),
                Some(joined) = self.tasks.join_next_with_id(), if !is_idle => self.joined(joined),
                Some((job, made)) = progress.recv() => self.progressed(&job, made),
                Some(change) = changes.recv(), if self.stage == Stage::Running => self.change(change),
                Ok(()) = store.changed() => self.store_changed(*store.borrow_and_update()),
                // After the tasks that were just started: a guest does not wait for its record.
                () = tokio::task::yield_now(), if !self.unwritten.is_empty() => self.write_down(),
                else => break,
            }
            let may_grow = stays && self.stage == Stage::Running;
            if self.tasks.is_empty() && !may_grow {
                break;
            }
        }
        self.write_down();
        if self.stage == Stage::Aborted {
            HostEnd::Aborted
        } else {
            self.end
        }
    }

    fn sit(&mut self, job_entry: JobEntry) -> usize {
        let at = self.next_seat;
        self.next_seat += 1;
        self.job_entries.insert(at, job_entry);
        at
    }

    fn start(&mut self, at: usize) {
        if let Some(job_entry) = self.job_entries.get_mut(&at) {
            let (state, actions) = job_entry
                .machine
                .start(job_entry.context.now(), fastrand::f64());
            self.enter(at, state, actions);
        }
    }

    fn obey(&mut self, request: ShutdownRequest) {
        match request {
            ShutdownRequest::Stop(reason) => {
                if self.stage == Stage::Running {
                    self.stage = Stage::Stopping;
                }
                self.event_log.emit(
                    EventContext::default(),
                    EventKind::HostStopping {
                        reason: reason.into(),
                    },
                );
            }
            ShutdownRequest::Abort => {
                self.stage = Stage::Aborted;
                self.event_log.emit(
                    EventContext::default(),
                    EventKind::HostStopping {
                        reason: "second signal or SIGQUIT: guests are stopped at once".into(),
                    },
                );
            }
        }
        for job_entry in self.job_entries.values_mut() {
            job_entry.next = None;
            job_entry.end();
            job_entry.context.stop.requested.cancel();
            if request == ShutdownRequest::Abort {
                job_entry.context.stop.abort.cancel();
            }
        }
    }

    fn progressed(&mut self, job: &str, made: leasehold_records::Progress) {
        if let Some(at) = self.find(job)
            && let Some(job_entry) = self.job_entries.get_mut(&at)
        {
            job_entry.progress = Some(made);
            self.unwritten.insert(at);
        }
    }

    /// Logs the start and the end of an outage. Jobs that wait for the store wake by themselves.
    fn store_changed(&mut self, state: StoreState) {
        let what = match state {
            StoreState::Lost { since } => {
                self.store_lost = Some(since);
                EventKind::StoreLost {
                    silent_ms: millis(self.clock.now().since(since)),
                }
            }
            StoreState::Reachable { since } => match self.store_lost.take() {
                Some(lost) => EventKind::StoreBack {
                    away_ms: millis(since.since(lost)),
                },
                // The outage ended before it was logged.
                None => return,
            },
        };
        self.event_log.emit(EventContext::default(), what);
    }

    fn find(&self, job: &str) -> Option<usize> {
        let mut job_entries = self.job_entries.iter();
        job_entries.find_map(|(at, job_entry)| (&*job_entry.context.name == job).then_some(*at))
    }

    /// Applies a change. A running guest goes on, and a waiting job keeps its place if it may.
    fn change(&mut self, change: Change) {
        match change {
            Change::Set(context, why) => {
                if let Some(at) = self.find(&context.name) {
                    self.replace(at, context, why);
                } else {
                    self.add(*context);
                }
            }
            Change::Remove(job) => {
                if let Some(at) = self.find(&job) {
                    self.remove(at);
                }
            }
        }
    }

    fn add(&mut self, context: JobContext) {
        let facts = context.plugin.facts();
        self.event_log.emit(
            context.event_context(),
            EventKind::JobAdded {
                plugin: facts.path.display().to_string(),
                sha256: facts.sha256.clone(),
            },
        );
        let at = self.sit(JobEntry::new(context));
        self.start(at);
    }

    fn replace(&mut self, at: usize, context: Box<JobContext>, why: Option<String>) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        let about = context.event_context();
        let facts = context.plugin.facts();
        let (plugin, sha256) = (facts.path.display().to_string(), facts.sha256.clone());
        let taken = job_entry.take_context(context);
        let is_over = matches!(job_entry.state, State::Ended(_));
        self.event_log.emit(
            about,
            EventKind::JobChanged {
                plugin,
                sha256,
                why,
                from: match taken {
                    Taken::Now => "now",
                    Taken::NextRun => "with the next run",
                },
            },
        );
        if is_over {
            self.after_end(at);
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        job_entry.next = None;
        job_entry.leaving = true;
        job_entry.end();
        job_entry.context.stop.requested.cancel();
        let about = job_entry.context.event_context();
        let is_over = matches!(job_entry.state, State::Ended(_));
        self.event_log.emit(about, EventKind::JobRemoved);
        if is_over {
            self.after_end(at);
        }
    }

    /// Handles the end of a job: starts its successor, removes the job, or does nothing.
    fn after_end(&mut self, at: usize) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        if let Some(next) = job_entry.next.take() {
            *job_entry = job_entry.succeeded_by(*next);
            self.start(at);
        } else if job_entry.leaving {
            self.record_writer
                .job_gone(text(&job_entry.context.name), text(&job_entry.context.host));
            self.job_entries.remove(&at);
            self.unwritten.remove(&at);
        }
    }

    fn joined(&mut self, joined: Result<(Id, TaskResult), JoinError>) {
        match joined {
            Ok((id, outcome)) => {
                if let Some(at) = self.owners.remove(&id) {
                    self.take(at, outcome);
                }
            }
            Err(error) => {
                // The task panicked. It dropped its grant, and with it the lock.
                if let Some(at) = self.owners.remove(&error.id()) {
                    tracing::error!(%error, "a task panicked");
                    let ending = Ending::Failed(format!("internal: a task panicked: {error}"));
                    self.enter(
                        at,
                        State::Ended(ending.clone()),
                        vec![Action::TellEnded(ending)],
                    );
                }
            }
        }
    }

    /// Turns the outcome of a piece of work into an event of the machine.
    fn take(&mut self, at: usize, outcome: TaskResult) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        let awaited_store = job_entry.awaits_store;
        job_entry.awaits_store = match &outcome {
            TaskResult::Missed(Missed::Away(_)) | TaskResult::Claimed(_, Claim::Trouble(_)) => true,
            TaskResult::Released => awaited_store,
            _ => false,
        };
        if awaited_store && !job_entry.awaits_store {
            // The store is queried again, and the last error may be over.
            job_entry.detail.clear();
        }
        let event = match outcome {
            TaskResult::Slept { cancelled: false } => Event::Woke,
            TaskResult::Slept { cancelled: true } => Event::Cancelled,
            TaskResult::StoreBack => {
                // The store's outage is over, and does not count as the job's failure.
                job_entry.machine.failures = 0;
                Event::Woke
            }
            TaskResult::Looked(look) => Event::Looked(look),
            TaskResult::Ready(provisions) => {
                job_entry.provisions = Some(provisions);
                Event::Ready
            }
            TaskResult::Superseded => Event::Ready,
            TaskResult::Lacks(lack) => Event::Lacks(lack),
            TaskResult::Acquired(grant, at, provisions) => {
                job_entry.provisions = Some(provisions);
                job_entry.acquired = Some(at);
                job_entry.token = Some(grant.token());
                job_entry.sequence = 0;
                job_entry.grant = Some(grant);
                job_entry.detail.clear();
                Event::Acquired
            }
            TaskResult::Missed(missed) => Event::Missed(missed),
            TaskResult::Claimed(grant, claim) => {
                job_entry.grant = Some(grant);
                Event::Claimed(claim)
            }
            TaskResult::Ran(grant, verdict, report) => {
                job_entry.grant = Some(grant);
                job_entry.sequence += 1;
                job_entry.last = Some(closing::outcome(&report.end));
                job_entry.progress = None;
                if let Verdict::Failed(reason) | Verdict::Fatal(reason) = &verdict {
                    job_entry.detail.clone_from(reason);
                } else {
                    job_entry.detail.clear();
                }
                Event::RunEnded(verdict)
            }
            TaskResult::Paused(grant, paused) => {
                job_entry.grant = Some(grant);
                match paused {
                    Paused::Over(provisions) => {
                        job_entry.provisions = Some(provisions);
                        Event::Woke
                    }
                    Paused::Lacks(lack) => Event::Lacks(lack),
                    Paused::Lost => Event::LostWhilePausing,
                    Paused::Cancelled => Event::Cancelled,
                }
            }
            TaskResult::Marked(grant) => {
                job_entry.grant = Some(grant);
                Event::Marked
            }
            TaskResult::Released => {
                job_entry.token = None;
                Event::Released
            }
        };
        let state = std::mem::replace(&mut job_entry.state, State::Ended(Ending::Stopped));
        let now = job_entry.context.now();
        let (state, actions) = job_entry.machine.step(state, event, now, fastrand::f64());
        self.enter(at, state, actions);
    }

    fn enter(&mut self, at: usize, state: State, actions: Vec<Action>) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        job_entry.state = state;
        job_entry.since = SystemTime::now();
        job_entry.settle();
        let is_over = matches!(job_entry.state, State::Ended(_));
        self.unwritten.insert(at);
        for action in actions {
            self.act(at, action);
        }
        if is_over {
            self.after_end(at);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        let context = job_entry.context.clone();
        // A run logs this itself, when its guest has begun.
        if !matches!(action, Action::Run(_))
            && let (Some(acquired), Some(grant)) = (job_entry.acquired.take(), &job_entry.grant)
        {
            work::tell_acquired(&context, grant, acquired);
        }
        if matches!(action, Action::Acquire | Action::Claim { .. }) {
            job_entry.asked = self.clock.now();
        }
        match action {
            Action::Sleep { until } if job_entry.awaits_store => {
                let asked = job_entry.asked;
                self.spawn(at, work::sleep_or_back(context, until, asked));
            }
            Action::Sleep { until } => self.spawn(at, work::sleep(context, until)),
            Action::Look { tick } => self.spawn(at, claiming::look(context, tick)),
            Action::Acquire => {
                // The last error may be over; the job waits now.
                job_entry.detail.clear();
                let provisions = job_entry.provisions.take();
                self.spawn(at, waiting::acquire(context, provisions));
            }
            Action::StandBack { until } => self.spawn(at, work::stand_back(context, until)),
            Action::Claim { tick, newest } => {
                let sequence = job_entry.sequence;
                match job_entry.grant.take() {
                    Some(grant) => {
                        self.spawn(
                            at,
                            claiming::claim(context, grant, (tick, newest), sequence),
                        );
                    }
                    None => self.broken(at, "a claim without a grant"),
                }
            }
            Action::Run(turn) => {
                let number = RunNumber {
                    sequence: job_entry.sequence,
                    turn,
                    cause: job_entry.machine.rules.cause(),
                    acquired: job_entry.acquired.take(),
                };
                match (job_entry.grant.take(), job_entry.provisions.take()) {
                    (Some(grant), Some(provisions)) => {
                        self.spawn(at, run::run(context, grant, provisions, number));
                    }
                    _ => self.broken(at, "a run without a grant or a slot"),
                }
            }
            Action::Pause(pause) => match job_entry.grant.take() {
                Some(grant) => self.spawn(at, work::pause(context, grant, pause)),
                None => self.broken(at, "a pause without a grant"),
            },
            Action::Mark { tick, mark } => {
                let outcome = job_entry.last.unwrap_or(leasehold_records::Outcome::Done);
                match job_entry.grant.take() {
                    Some(grant) => {
                        self.spawn(at, claiming::mark(context, grant, (tick, mark), outcome));
                    }
                    None => self.broken(at, "a mark without a grant"),
                }
            }
            Action::Release => match job_entry.grant.take() {
                Some(grant) => self.spawn(at, work::release(context, *grant)),
                None => self.broken(at, "a release without a grant"),
            },
            Action::TellSkipped(reason) => {
                self.event_log
                    .emit(context.event_context(), EventKind::Skipped { reason });
            }
            Action::TellStandingBack(lack) => self.tell_standing_back(at, &lack),
            Action::TellBackoff { delay, reason } => {
                job_entry.detail.clone_from(&reason);
                let delay_ms = millis(delay);
                self.event_log.emit(
                    context.event_context(),
                    EventKind::Backoff { delay_ms, reason },
                );
            }
            Action::TellEnded(ending) => self.tell_ended(at, ending),
        }
    }

    /// Logs that a job stands back, once for each reason. Of all jobs that wait for a slot, only the first is
    /// logged.
    fn tell_standing_back(&mut self, at: usize, lack: &Lack) {
        let mut others = self.job_entries.iter().filter(|(other, _)| **other != at);
        let is_told =
            matches!(lack, Lack::Slot(_)) && others.any(|(_, job_entry)| job_entry.lacks_slot());
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        if job_entry.stand_back(lack) && !is_told {
            let reason = lack.reason().to_owned();
            let about = job_entry.context.event_context();
            self.event_log
                .emit(about, EventKind::StandingBack { reason });
        }
    }

    fn tell_ended(&mut self, at: usize, ending: Ending) {
        let Some(job_entry) = self.job_entries.get_mut(&at) else {
            return;
        };
        let about = job_entry.context.event_context();
        match ending {
            Ending::Finished => self.event_log.emit(about, EventKind::JobFinished),
            Ending::Stopped => {}
            Ending::Failed(error) => {
                job_entry.detail.clone_from(&error);
                self.end = self.end.max(HostEnd::JobFailed);
                self.event_log.emit(about, EventKind::JobFailed { error });
            }
            Ending::NotAcquired(error) => {
                job_entry.detail.clone_from(&error);
                self.end = self.end.max(HostEnd::NotAcquired);
                self.event_log.emit(about, EventKind::JobFailed { error });
            }
        }
    }

    /// Handles an internal error: the job ends, visibly, and the others go on.
    fn broken(&mut self, at: usize, what: &str) {
        let ending = Ending::Failed(format!("internal: {what}"));
        if let Some(job_entry) = self.job_entries.get_mut(&at) {
            job_entry.state = State::Ended(ending.clone());
        }
        self.tell_ended(at, ending);
    }

    fn spawn(&mut self, at: usize, work: impl Future<Output = TaskResult> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.owners.insert(task.id(), at);
    }

    fn write_down(&mut self) {
        for at in std::mem::take(&mut self.unwritten) {
            self.note(at);
        }
    }

    /// Records the present state of a job.
    fn note(&self, at: usize) {
        let Some(job_entry) = self.job_entries.get(&at) else {
            return;
        };
        let (state, next) = match &job_entry.state {
            State::Sleeping { until, .. } => {
                let next = match until {
                    Until::Boot(until) => self.wall(*until),
                    Until::Wall(until) => *until,
                };
                (JobState::Sleeping, Some(next))
            }
            State::Waiting { .. } => (JobState::Waiting, None),
            State::StandingBack { until, .. } => {
                (JobState::StandingBack, until.map(|until| self.wall(until)))
            }
            State::Running { .. } => (JobState::Running, None),
            State::Pausing { .. } => (JobState::Pausing, None),
            State::Ended(Ending::Finished) => (JobState::Finished, None),
            // Over in a moment, or deleted with the host's lease: no record is needed.
            State::Looking { .. }
            | State::Claiming { .. }
            | State::Marking { .. }
            | State::Releasing { .. }
            | State::Ended(Ending::Stopped) => return,
            State::Ended(Ending::Failed(_) | Ending::NotAcquired(_)) => (JobState::Failed, None),
        };
        self.record_writer.job(JobRecord {
            job: text(&job_entry.context.name),
            host: text(&job_entry.context.host),
            lock: text(&job_entry.context.lock),
            state,
            since_unix_ms: UnixMs::from_system(job_entry.since),
            token: job_entry.token,
            next_unix_ms: next,
            last: job_entry.last,
            detail: job_entry.detail.clone(),
            progress: job_entry.progress.clone(),
        });
    }

    fn wall(&self, at: BootTime) -> UnixMs {
        UnixMs::from_system(SystemTime::now() + at.since(self.clock.now()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
