//! The supervisor: owns the state of every job and runs the one loop that changes it.
//!
//! Work is done by tasks that each return one outcome. They share nothing but cheap handles, and none outlives the
//! loop: it ends when the last task has ended.
//!
//! Jobs are added, changed and removed while it runs. A change of a job never touches its running guest: the new
//! version waits for its turn.
//!
//! - `job_table`: the jobs and the tasks that work for them. `manual_runs`: those for runs that operators requested.
//! - `orders`: the orders of operators that the jobs follow. `task_output`: results of tasks.

mod job_table;
mod manual_runs;
mod orders;
mod task_output;

use std::sync::Arc;

use leasehold_lock::{BootTime, Clock, StoreState};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError};

use self::job_table::JobTable;
use self::orders::OrderFollower;
use self::task_output::TaskOutput;
use crate::control::ControlHandle;
use crate::end::HostEnd;
use crate::event::{ChangedJob, EventContext, EventKind};
use crate::event_log::EventLog;
use crate::job::context::JobContext;
use crate::job::entry::ChangeStart;
use crate::record_writer::RecordWriter;
use crate::shutdown::ShutdownRequest;
use crate::stage::{Heartbeat, HostStage, StageSink};
use leasehold_records::whole_millis;

/// Change of the jobs of a running host.
pub(crate) enum JobChange {
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

/// The jobs of one host, from its start to its end.
pub(crate) struct Supervisor {
    jobs: JobTable,
    orders: OrderFollower,
    clock: Arc<dyn Clock>,
    event_log: EventLog,
    stages: Arc<dyn StageSink>,
    stage: Stage,
    /// Start of the outage under way.
    store_lost: Option<BootTime>,
}

impl Supervisor {
    pub(crate) fn new(
        contexts: Vec<JobContext>,
        (host, control): (Arc<str>, ControlHandle),
        clock: Arc<dyn Clock>,
        event_log: EventLog,
        record_writer: RecordWriter,
        stages: Arc<dyn StageSink>,
    ) -> Self {
        let mut jobs = JobTable::new(event_log.clone(), record_writer);
        for context in contexts {
            jobs.add(context);
        }
        Self {
            jobs,
            orders: OrderFollower::new(host, control),
            clock,
            event_log,
            stages,
            stage: Stage::Running,
            store_lost: None,
        }
    }

    /// Runs until every job has ended, by itself or on request. A host that `stays` also waits for jobs that may
    /// still come, until its shutdown is requested.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<ShutdownRequest>,
        mut progress: mpsc::Receiver<(Arc<str>, leasehold_records::Progress)>,
        mut changes: mpsc::Receiver<JobChange>,
        mut store: watch::Receiver<StoreState>,
        stays: bool,
    ) -> HostEnd {
        tokio::select! {
            biased;
            Some(request) = requests.recv() => self.obey(request),
            () = self.orders.known() => self.start(),
        }
        let mut heart = Heartbeat::new(self.stages.clone());
        while self.goes_on(stays) {
            let is_idle = self.jobs.tasks.is_empty();
            tokio::select! {
                biased;
                Some(request) = requests.recv() => self.obey(request),
                () = heart.next() => heart.beat(),
                Some(joined) = self.jobs.tasks.join_next_with_id(), if !is_idle => self.take_joined(joined),
                Some((job, made)) = progress.recv() => self.take_progress(&job, made),
                Some(change) = changes.recv(), if self.stage == Stage::Running => self.change(change),
                () = self.orders.changed(), if self.stage == Stage::Running => self.orders.apply(&mut self.jobs),
                Ok(()) = store.changed() => self.log_store_change(*store.borrow_and_update()),
                // After the tasks that were just started: a guest does not wait for its record.
                () = tokio::task::yield_now(), if !self.jobs.unwritten.is_empty() => self.jobs.write_records(),
            }
        }
        self.jobs.write_records();
        if self.stage == Stage::Aborted {
            HostEnd::Aborted
        } else {
            self.jobs.end
        }
    }

    /// True while a task is under way or a job may still come.
    fn goes_on(&mut self, stays: bool) -> bool {
        self.end_if_drained();
        let may_grow = stays && self.stage == Stage::Running;
        !self.jobs.tasks.is_empty() || may_grow
    }

    /// Starts the jobs, which follow the orders that are in force.
    fn start(&mut self) {
        self.orders.apply(&mut self.jobs);
        for at in self.jobs.entries.keys().copied().collect::<Vec<_>>() {
            self.jobs.start(at);
        }
        self.stages.enter(HostStage::Ready);
    }

    /// Ends the host if it is drained and its last run has ended.
    fn end_if_drained(&mut self) {
        if self.stage == Stage::Running
            && let Some(reason) = self.orders.find_end(&self.jobs)
        {
            self.log_stopping(reason);
            self.stage = Stage::Stopping;
            self.end_jobs(false);
        }
    }

    fn log_stopping(&self, reason: String) {
        self.stages.enter(HostStage::Stopping);
        let stopping = EventKind::HostStopping { reason };
        self.event_log.emit(EventContext::default(), stopping);
    }

    fn obey(&mut self, request: ShutdownRequest) {
        match request {
            ShutdownRequest::Stop(reason) => {
                if self.stage == Stage::Running {
                    self.stage = Stage::Stopping;
                }
                self.log_stopping(reason.into());
            }
            ShutdownRequest::Abort => {
                self.stage = Stage::Aborted;
                self.log_stopping("second signal or SIGQUIT: guests are stopped at once".into());
            }
        }
        self.end_jobs(request == ShutdownRequest::Abort);
    }

    fn end_jobs(&mut self, at_once: bool) {
        for entry in self.jobs.entries.values_mut() {
            entry.next = None;
            entry.end();
            entry.context.stop.requested.cancel();
            if at_once {
                entry.context.stop.abort.cancel();
            }
        }
    }

    fn take_joined(&mut self, joined: Result<(Id, TaskOutput), JoinError>) {
        self.jobs.take_joined(joined);
        if self.stage == Stage::Running {
            self.orders.start_manual_runs(&mut self.jobs);
        }
    }

    fn take_progress(&mut self, job: &str, made: leasehold_records::Progress) {
        if let Some(at) = self.jobs.find(job)
            && let Some(entry) = self.jobs.entries.get_mut(&at)
        {
            entry.set_progress(made);
            self.jobs.unwritten.insert(at);
        }
    }

    /// Logs the start and the end of an outage. Jobs that wait for the store wake by themselves.
    fn log_store_change(&mut self, state: StoreState) {
        let event = match state {
            StoreState::Lost { since } => {
                self.store_lost = Some(since);
                EventKind::StoreLost {
                    silent_ms: whole_millis(self.clock.now().since(since)),
                }
            }
            StoreState::Reachable { since } => match self.store_lost.take() {
                Some(lost) => EventKind::StoreBack {
                    away_ms: whole_millis(since.since(lost)),
                },
                // The outage ended before it was logged.
                None => return,
            },
        };
        self.event_log.emit(EventContext::default(), event);
    }

    /// Applies a change. A running guest goes on, and a waiting job keeps its place if it may.
    fn change(&mut self, change: JobChange) {
        match change {
            JobChange::Set(context, why) => {
                if let Some(at) = self.jobs.find(&context.name) {
                    self.replace(at, context, why);
                } else {
                    self.add(*context);
                }
            }
            JobChange::Remove(job) => {
                if let Some(at) = self.jobs.find(&job) {
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
        let at = self.jobs.add(context);
        self.orders.apply(&mut self.jobs);
        self.jobs.start(at);
    }

    fn replace(&mut self, at: usize, context: Box<JobContext>, why: Option<String>) {
        let Some(entry) = self.jobs.entries.get_mut(&at) else {
            return;
        };
        let about = context.event_context();
        let facts = context.plugin.facts();
        let (plugin, sha256) = (facts.path.display().to_string(), facts.sha256.clone());
        let start = entry.take_context(context);
        // The record shows a version that waits.
        self.jobs.unwritten.insert(at);
        self.event_log.emit(
            about,
            EventKind::JobChanged(ChangedJob {
                plugin,
                sha256,
                why,
                from: match start {
                    ChangeStart::Now => "now",
                    ChangeStart::NextRun => "with the next run",
                },
            }),
        );
        self.jobs.handle_end(at);
    }

    fn remove(&mut self, at: usize) {
        let Some(entry) = self.jobs.entries.get_mut(&at) else {
            return;
        };
        entry.next = None;
        entry.leaving = true;
        entry.end();
        entry.context.stop.requested.cancel();
        let about = entry.context.event_context();
        self.event_log.emit(about, EventKind::JobRemoved);
        self.jobs.handle_end(at);
    }
}
