//! The jobs of a running host, and the tasks that work for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::task::{Id, JoinError, JoinSet};

use super::task_output::{TaskOutput, TaskRole};
use crate::end::HostEnd;
use crate::event::EventKind;
use crate::event_log::{EventLog, JobView};
use crate::job::claiming;
use crate::job::context::JobContext;
use crate::job::entry::{JobEntry, ManualTurn};
use crate::job::lack::RunLack;
use crate::job::machine::JobEnding;
use crate::job::run::{self, RunOrder};
use crate::job::task::{TaskRequest, TaskResult};
use crate::job::waiting;
use crate::job::work;
use crate::record_writer::{RecordWriter, text};
use leasehold_records::whole_millis;

/// All jobs of one host, in order of arrival; a number is never used again.
pub(super) struct JobTable {
    pub(super) entries: BTreeMap<usize, JobEntry>,
    next_number: usize,
    pub(super) tasks: JoinSet<TaskOutput>,
    owners: HashMap<Id, (usize, TaskRole)>,
    pub(super) event_log: EventLog,
    record_writer: RecordWriter,
    /// The worst end of any job so far.
    pub(super) end: HostEnd,
    /// Jobs whose state has changed since its record was written.
    pub(super) unwritten: BTreeSet<usize>,
    /// Keys of requested runs that this host is done with, though its view of the store may not show that yet.
    pub(super) settled: BTreeSet<String>,
}

impl JobTable {
    pub(super) fn new(event_log: EventLog, record_writer: RecordWriter) -> Self {
        Self {
            entries: BTreeMap::new(),
            next_number: 0,
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            event_log,
            record_writer,
            end: HostEnd::Done,
            unwritten: BTreeSet::new(),
            settled: BTreeSet::new(),
        }
    }

    /// Adds a job without starting it. Returns its number.
    pub(super) fn add(&mut self, context: JobContext) -> usize {
        let at = self.next_number;
        self.next_number += 1;
        self.entries.insert(at, JobEntry::new(context));
        at
    }

    pub(super) fn find(&self, job: &str) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.find_map(|(at, entry)| (&*entry.context.name == job).then_some(*at))
    }

    pub(super) fn start(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(&at) {
            let requests = entry.start();
            self.carry_out(at, requests);
        }
    }

    /// Handles the end of a job: starts its successor, removes the job, or does nothing. A requested run that is
    /// waited for or under way comes first: it is of this version.
    pub(super) fn handle_end(&mut self, at: usize) {
        let Some(entry) = self.entries.get_mut(&at).filter(|entry| entry.is_over()) else {
            return;
        };
        if let Some(next) = entry.next.take() {
            *entry = entry.succeeded_by(*next);
            self.start(at);
        } else if entry.leaving {
            self.event_log.job_gone(&entry.context.name);
            self.record_writer
                .job_gone(text(&entry.context.name), text(&entry.context.host));
            self.entries.remove(&at);
            self.unwritten.remove(&at);
        }
    }

    /// Applies the result of a task to its job.
    pub(super) fn take_joined(&mut self, joined: Result<(Id, TaskOutput), JoinError>) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some((at, role)) = self.owners.remove(&id) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&at) else {
            return;
        };
        let requests = match result {
            Ok(TaskOutput::Turn(result)) => entry.take_result(result),
            Ok(TaskOutput::ManualWait(key, waited)) => {
                return self.take_manual_wait(at, key, waited);
            }
            Ok(TaskOutput::ManualRun(outcome)) => {
                return self.set_manual(at, ManualTurn::Idle, Some(outcome));
            }
            // The task panicked. It dropped its grant, and with it the lock.
            Err(error) => {
                tracing::error!(%error, "a task panicked");
                match role {
                    TaskRole::Turn => entry.fail(format!("internal: a task panicked: {error}")),
                    TaskRole::Manual(key) => return self.give_up_manual(at, key),
                }
            }
        };
        self.carry_out(at, requests);
    }

    /// Carries out the requests of a job that has just entered a state.
    fn carry_out(&mut self, at: usize, requests: Vec<TaskRequest>) {
        self.unwritten.insert(at);
        for request in requests {
            self.act(at, request);
        }
        self.handle_end(at);
    }

    fn act(&mut self, at: usize, request: TaskRequest) {
        let Some(entry) = self.entries.get_mut(&at) else {
            return;
        };
        let context = entry.context.clone();
        match request {
            TaskRequest::Sleep {
                until,
                unanswered: Some(asked),
            } => self.spawn(at, work::sleep_or_back(context, until, asked)),
            TaskRequest::Sleep { until, .. } => self.spawn(at, work::sleep(context, until)),
            TaskRequest::Look { tick } => self.spawn(at, claiming::look(context, tick)),
            TaskRequest::Acquire(provisions) => {
                if provisions.is_some() {
                    entry.clear_lack();
                }
                self.spawn(at, waiting::acquire(context, provisions));
            }
            TaskRequest::StandBack { until } => self.spawn(at, work::stand_back(context, until)),
            TaskRequest::Claim {
                mut grant,
                tick,
                newest,
            } => {
                grant.log_acquired(&context);
                self.spawn(at, claiming::claim(context, grant, (tick, newest)));
            }
            TaskRequest::Run {
                grant,
                provisions,
                turn,
            } => {
                let order = RunOrder::Own(entry.rules().cause());
                self.spawn(at, run::run(context, grant, provisions, (turn, order)));
            }
            TaskRequest::Pause { grant, pause } => {
                self.spawn(at, work::pause(context, grant, pause));
            }
            TaskRequest::Mark {
                grant,
                tick,
                mark,
                outcome,
            } => self.spawn(at, claiming::mark(context, grant, (tick, mark), outcome)),
            TaskRequest::Release(mut grant) => {
                grant.log_acquired(&context);
                self.spawn(at, work::release(context, grant));
            }
            TaskRequest::LogSkipped(cause, reason) => {
                self.log(at, EventKind::Skipped { reason, cause });
            }
            TaskRequest::LogStandingBack(lack) => self.log_standing_back(at, &lack),
            TaskRequest::LogBackoff { delay, reason } => {
                let delay_ms = whole_millis(delay);
                self.log(at, EventKind::Backoff { delay_ms, reason });
            }
            TaskRequest::LogEnded(ending) => self.log_ended(at, ending),
        }
    }

    fn spawn(&mut self, at: usize, work: impl Future<Output = TaskResult> + Send + 'static) {
        self.spawn_task(at, TaskRole::Turn, async { TaskOutput::Turn(work.await) });
    }

    pub(super) fn spawn_task(
        &mut self,
        at: usize,
        role: TaskRole,
        work: impl Future<Output = TaskOutput> + Send + 'static,
    ) {
        let task = self.tasks.spawn(work);
        self.owners.insert(task.id(), (at, role));
    }

    /// Logs an event of this job.
    pub(super) fn log(&self, at: usize, event: EventKind) {
        if let Some(entry) = self.entries.get(&at) {
            self.event_log.emit(entry.context.event_context(), event);
        }
    }

    /// Logs that a job stands back, once for each reason. Of all jobs that wait for a slot, only the first is
    /// logged.
    fn log_standing_back(&mut self, at: usize, lack: &RunLack) {
        let mut others = self.entries.iter().filter(|(other, _)| **other != at);
        let is_logged =
            matches!(lack, RunLack::Slot(_)) && others.any(|(_, entry)| entry.lacks_slot());
        let Some(entry) = self.entries.get_mut(&at) else {
            return;
        };
        if entry.stand_back(lack) && !is_logged {
            let reason = lack.reason().to_owned();
            let elsewhere = lack.leaves_others();
            self.log(at, EventKind::StandingBack { reason, elsewhere });
        }
    }

    fn log_ended(&mut self, at: usize, ending: JobEnding) {
        let (end, error) = match ending {
            JobEnding::Finished => return self.log(at, EventKind::JobFinished),
            JobEnding::Stopped => return,
            JobEnding::Failed(error) => (HostEnd::JobFailed, error),
            JobEnding::NotAcquired(error) => (HostEnd::NotAcquired, error),
        };
        self.end = self.end.max(end);
        self.log(at, EventKind::JobFailed { error });
    }

    /// Writes the records of all jobs whose state has changed.
    pub(super) fn write_records(&mut self) {
        for at in std::mem::take(&mut self.unwritten) {
            let Some(entry) = self.entries.get(&at) else {
                continue;
            };
            if let Some(record) = entry.record() {
                self.event_log.job_changed(&JobView {
                    record: &record,
                    plugin: entry.context.plugin.facts(),
                    schedule: entry.context.job.schedule(),
                });
                self.record_writer.job(record);
            }
        }
    }
}
