//! The supervisor: owns the state of every job and runs the one loop that changes it.
//!
//! Work is done by tasks that hand back one outcome each. Nothing is shared with them but cheap
//! handles, and no task is ever left behind: the loop ends when the last has ended.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{BootTime, Clock, Grant};
use leasehold_records::{JobRecord, JobState};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};

use crate::event::{About, What};
use crate::exit::Exit;
use crate::job::claiming;
use crate::job::machine::{Action, Ending, Event, Machine, Rules, State, Until, Verdict};
use crate::job::work::{self, Bench, Outcome, Paused, RunNumber};
use crate::journal::{Journal, text, unix_ms};
use crate::timeline::Timeline;

/// What a person or the system asks of a running host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop guests in their grace time, then release.
    Stop(&'static str),
    /// Stop guests now, then release.
    Abort,
}

/// One job and everything known about it.
struct Seat {
    bench: Arc<Bench>,
    machine: Machine,
    state: State,
    /// The grant, while no piece of work has it.
    grant: Option<Box<Grant>>,
    /// Runs under the current grant so far.
    sequence: u32,
    since: SystemTime,
    last: Option<leasehold_records::Outcome>,
    detail: String,
    progress: Option<leasehold_records::Progress>,
    token: Option<u64>,
}

/// All jobs of one host.
pub(crate) struct Supervisor {
    seats: Vec<Seat>,
    tasks: JoinSet<Outcome>,
    owners: HashMap<Id, usize>,
    clock: Arc<dyn Clock>,
    timeline: Timeline,
    journal: Journal,
    exit: Exit,
    aborted: bool,
    /// Jobs whose state has changed since it was last written down.
    unwritten: BTreeSet<usize>,
}

impl Supervisor {
    pub(crate) fn new(
        benches: Vec<Bench>,
        clock: Arc<dyn Clock>,
        timeline: Timeline,
        journal: Journal,
    ) -> Self {
        let seats = benches.into_iter().map(|bench| {
            let rules = Rules {
                schedule: bench.job.schedule().clone(),
                restart: bench.job.restart(),
                retries: bench.job.retries(),
            };
            Seat {
                bench: Arc::new(bench),
                machine: Machine::new(rules),
                state: State::Ended(Ending::Stopped),
                grant: None,
                sequence: 0,
                since: SystemTime::now(),
                last: None,
                detail: String::new(),
                progress: None,
                token: None,
            }
        });
        Self {
            seats: seats.collect(),
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            clock,
            timeline,
            journal,
            exit: Exit::Ok,
            aborted: false,
            unwritten: BTreeSet::new(),
        }
    }

    /// Runs until every job has ended, by itself or because an order said so.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut progress: mpsc::Receiver<(Arc<str>, leasehold_records::Progress)>,
    ) -> Exit {
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            let (state, actions) = seat.machine.start(seat.bench.now(), fastrand::f64());
            self.enter(at, state, actions);
        }
        loop {
            tokio::select! {
                biased;
                Some(order) = orders.recv() => self.obey(order),
                joined = self.tasks.join_next_with_id() => match joined {
                    Some(joined) => self.joined(joined),
                    None => break,
                },
                Some((job, made)) = progress.recv() => self.progressed(&job, made),
                // After the tasks that were just started: a guest must not wait for its record.
                () = tokio::task::yield_now(), if !self.unwritten.is_empty() => self.write_down(),
            }
        }
        self.write_down();
        if self.aborted {
            Exit::Aborted
        } else {
            self.exit
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop(reason) => {
                self.timeline.say(
                    About::default(),
                    What::HostStopping {
                        reason: reason.into(),
                    },
                );
            }
            Order::Abort => {
                self.aborted = true;
                self.timeline.say(
                    About::default(),
                    What::HostStopping {
                        reason: "second signal: guests are stopped at once".into(),
                    },
                );
            }
        }
        for seat in &mut self.seats {
            seat.machine.stopping = true;
            seat.bench.cancel.cancel();
            seat.bench.stop.requested.cancel();
            if order == Order::Abort {
                seat.bench.stop.abort.cancel();
            }
        }
    }

    fn progressed(&mut self, job: &str, made: leasehold_records::Progress) {
        if let Some(at) = self.seats.iter().position(|seat| &*seat.bench.name == job) {
            self.seats[at].progress = Some(made);
            self.unwritten.insert(at);
        }
    }

    fn joined(&mut self, joined: Result<(Id, Outcome), JoinError>) {
        match joined {
            Ok((id, outcome)) => {
                if let Some(at) = self.owners.remove(&id) {
                    self.take(at, outcome);
                }
            }
            Err(error) => {
                // A panic. The task dropped its grant, and with it the lock.
                if let Some(at) = self.owners.remove(&error.id()) {
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

    /// Turns the outcome of a piece of work into the machine's event.
    fn take(&mut self, at: usize, outcome: Outcome) {
        let seat = &mut self.seats[at];
        let event = match outcome {
            Outcome::Slept { cancelled: false } => Event::Woke,
            Outcome::Slept { cancelled: true } => Event::Cancelled,
            Outcome::Looked(look) => Event::Looked(look),
            Outcome::Acquired(grant) => {
                seat.token = Some(grant.token());
                seat.sequence = 0;
                seat.grant = Some(grant);
                Event::Acquired
            }
            Outcome::Missed(missed) => Event::Missed(missed),
            Outcome::Claimed(grant, claim) => {
                seat.grant = Some(grant);
                Event::Claimed(claim)
            }
            Outcome::Ran(grant, verdict, report) => {
                seat.grant = Some(grant);
                seat.sequence += 1;
                seat.last = Some(work::outcome(&report.end));
                seat.progress = None;
                if let Verdict::Failed(reason) | Verdict::Fatal(reason) = &verdict {
                    seat.detail.clone_from(reason);
                } else {
                    seat.detail.clear();
                }
                Event::RunEnded(verdict)
            }
            Outcome::Paused(grant, paused) => {
                seat.grant = Some(grant);
                match paused {
                    Paused::Over => Event::Woke,
                    Paused::Lost => Event::LostWhilePausing,
                    Paused::Cancelled => Event::Cancelled,
                }
            }
            Outcome::Marked(grant) => {
                seat.grant = Some(grant);
                Event::Marked
            }
            Outcome::Released => {
                seat.token = None;
                Event::Released
            }
        };
        let state = std::mem::replace(&mut seat.state, State::Ended(Ending::Stopped));
        let now = seat.bench.now();
        let (state, actions) = seat.machine.step(state, event, now, fastrand::f64());
        self.enter(at, state, actions);
    }

    fn enter(&mut self, at: usize, state: State, actions: Vec<Action>) {
        self.seats[at].state = state;
        self.seats[at].since = SystemTime::now();
        for action in actions {
            self.act(at, action);
        }
        self.unwritten.insert(at);
    }

    fn act(&mut self, at: usize, action: Action) {
        let seat = &mut self.seats[at];
        let bench = seat.bench.clone();
        match action {
            Action::Sleep { until } => self.spawn(at, work::sleep(bench, until)),
            Action::Look { tick } => self.spawn(at, claiming::look(bench, tick)),
            Action::Acquire => self.spawn(at, work::acquire(bench)),
            Action::Claim { tick, newest } => {
                let sequence = seat.sequence;
                match seat.grant.take() {
                    Some(grant) => {
                        self.spawn(at, claiming::claim(bench, grant, (tick, newest), sequence));
                    }
                    None => self.broken(at, "a claim without a grant"),
                }
            }
            Action::Run(turn) => {
                let number = RunNumber {
                    sequence: seat.sequence,
                    turn,
                    cause: seat.machine.rules.cause(),
                };
                match seat.grant.take() {
                    Some(grant) => self.spawn(at, work::run(bench, grant, number)),
                    None => self.broken(at, "a run without a grant"),
                }
            }
            Action::Pause(pause) => match seat.grant.take() {
                Some(grant) => self.spawn(at, work::pause(bench, grant, pause)),
                None => self.broken(at, "a pause without a grant"),
            },
            Action::Mark { tick, mark } => {
                let outcome = seat.last.unwrap_or(leasehold_records::Outcome::Done);
                match seat.grant.take() {
                    Some(grant) => {
                        self.spawn(at, claiming::mark(bench, grant, (tick, mark), outcome));
                    }
                    None => self.broken(at, "a mark without a grant"),
                }
            }
            Action::Release => match seat.grant.take() {
                Some(grant) => self.spawn(at, work::release(bench, *grant)),
                None => self.broken(at, "a release without a grant"),
            },
            Action::TellSkipped(reason) => {
                self.timeline.say(bench.about(), What::Skipped { reason });
            }
            Action::TellBackoff { delay, reason } => {
                seat.detail.clone_from(&reason);
                let delay_ms = millis(delay);
                self.timeline
                    .say(bench.about(), What::Backoff { delay_ms, reason });
            }
            Action::TellEnded(ending) => self.tell_ended(at, ending),
        }
    }

    fn tell_ended(&mut self, at: usize, ending: Ending) {
        let seat = &mut self.seats[at];
        let about = seat.bench.about();
        match ending {
            Ending::Finished => self.timeline.say(about, What::JobFinished),
            Ending::Stopped => {}
            Ending::Failed(error) => {
                seat.detail.clone_from(&error);
                self.exit = self.exit.or_worse(Exit::JobFailed);
                self.timeline.say(about, What::JobFailed { error });
            }
            Ending::NotAcquired(error) => {
                seat.detail.clone_from(&error);
                self.exit = self.exit.or_worse(Exit::NotAcquired);
                self.timeline.say(about, What::JobFailed { error });
            }
        }
    }

    /// A fault of ours: the job ends, visibly, and the others go on.
    fn broken(&mut self, at: usize, what: &str) {
        let ending = Ending::Failed(format!("internal: {what}"));
        self.seats[at].state = State::Ended(ending.clone());
        self.tell_ended(at, ending);
    }

    fn spawn(&mut self, at: usize, work: impl Future<Output = Outcome> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.owners.insert(task.id(), at);
    }

    fn write_down(&mut self) {
        for at in std::mem::take(&mut self.unwritten) {
            self.note(at);
        }
    }

    /// Writes down what the job is doing now.
    fn note(&self, at: usize) {
        let seat = &self.seats[at];
        let (state, next) = match &seat.state {
            State::Sleeping { until, .. } => {
                let next = match until {
                    Until::Boot(until) => self.wall(*until),
                    Until::Wall(until) => until.as_u64(),
                };
                (JobState::Sleeping, Some(next))
            }
            State::Waiting { .. } => (JobState::Waiting, None),
            State::Running { .. } => (JobState::Running, None),
            State::Pausing { .. } => (JobState::Pausing, None),
            State::Ended(Ending::Finished) => (JobState::Finished, None),
            // Over in a moment, or gone with the host's lease: nobody needs to read about it.
            State::Looking { .. }
            | State::Claiming { .. }
            | State::Marking { .. }
            | State::Releasing { .. }
            | State::Ended(Ending::Stopped) => return,
            State::Ended(Ending::Failed(_) | Ending::NotAcquired(_)) => (JobState::Failed, None),
        };
        self.journal.job(JobRecord {
            job: text(&seat.bench.name),
            host: text(&seat.bench.host),
            lock: text(&seat.bench.lock),
            state,
            since_unix_ms: unix_ms(seat.since),
            token: seat.token,
            next_unix_ms: next,
            last: seat.last,
            detail: seat.detail.clone(),
            progress: seat.progress.clone(),
        });
    }

    fn wall(&self, at: BootTime) -> u64 {
        unix_ms(SystemTime::now() + at.since(self.clock.now()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
