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
use crate::event::{About, What};
use crate::event_log::Timeline;
use crate::job::bench::Bench;
use crate::job::claiming;
use crate::job::closing;
use crate::job::machine::{Action, Claim, Ending, Event, Lack, Missed, State, Until, Verdict};
use crate::job::run::{self, RunNumber};
use crate::job::seat::{Seat, Taken};
use crate::job::waiting;
use crate::job::work::{self, Outcome, Paused};
use crate::record_writer::{Journal, text};
use leasehold_config::wall::unix_ms;

/// Request to a running host, from an operator or the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop guests in their grace time, then release.
    Stop(&'static str),
    /// Stop guests now, then release.
    Abort,
}

/// Change of the jobs of a running host.
pub(crate) enum Change {
    /// A job that starts now, or a new version of a job, which takes effect at its next turn. The text is the
    /// reason when another file defines the job now.
    Set(Box<Bench>, Option<String>),
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
    /// Jobs by order of arrival; a number is never used again.
    seats: BTreeMap<usize, Seat>,
    next_seat: usize,
    tasks: JoinSet<Outcome>,
    owners: HashMap<Id, usize>,
    clock: Arc<dyn Clock>,
    timeline: Timeline,
    journal: Journal,
    end: HostEnd,
    stage: Stage,
    /// Start of the outage under way.
    store_lost: Option<BootTime>,
    /// Jobs whose state has changed since its record was written.
    unwritten: BTreeSet<usize>,
}

impl Supervisor {
    pub(crate) fn new(
        benches: Vec<Bench>,
        clock: Arc<dyn Clock>,
        timeline: Timeline,
        journal: Journal,
    ) -> Self {
        let mut supervisor = Self {
            seats: BTreeMap::new(),
            next_seat: 0,
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            clock,
            timeline,
            journal,
            end: HostEnd::Done,
            stage: Stage::Running,
            store_lost: None,
            unwritten: BTreeSet::new(),
        };
        for bench in benches {
            supervisor.sit(Seat::new(bench));
        }
        supervisor
    }

    /// Runs until every job has ended, by itself or on an order. A host that `stays` also waits for jobs that may
    /// still come, until it is ordered to stop.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut progress: mpsc::Receiver<(Arc<str>, leasehold_records::Progress)>,
        mut changes: mpsc::Receiver<Change>,
        mut store: watch::Receiver<StoreState>,
        stays: bool,
    ) -> HostEnd {
        for at in self.seats.keys().copied().collect::<Vec<_>>() {
            self.start(at);
        }
        loop {
            let is_idle = self.tasks.is_empty();
            tokio::select! {
                biased;
                Some(order) = orders.recv() => self.obey(order),
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

    fn sit(&mut self, seat: Seat) -> usize {
        let at = self.next_seat;
        self.next_seat += 1;
        self.seats.insert(at, seat);
        at
    }

    fn start(&mut self, at: usize) {
        if let Some(seat) = self.seats.get_mut(&at) {
            let (state, actions) = seat.machine.start(seat.bench.now(), fastrand::f64());
            self.enter(at, state, actions);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop(reason) => {
                if self.stage == Stage::Running {
                    self.stage = Stage::Stopping;
                }
                self.timeline.say(
                    About::default(),
                    What::HostStopping {
                        reason: reason.into(),
                    },
                );
            }
            Order::Abort => {
                self.stage = Stage::Aborted;
                self.timeline.say(
                    About::default(),
                    What::HostStopping {
                        reason: "second signal or SIGQUIT: guests are stopped at once".into(),
                    },
                );
            }
        }
        for seat in self.seats.values_mut() {
            seat.next = None;
            seat.end();
            seat.bench.stop.requested.cancel();
            if order == Order::Abort {
                seat.bench.stop.abort.cancel();
            }
        }
    }

    fn progressed(&mut self, job: &str, made: leasehold_records::Progress) {
        if let Some(at) = self.find(job)
            && let Some(seat) = self.seats.get_mut(&at)
        {
            seat.progress = Some(made);
            self.unwritten.insert(at);
        }
    }

    /// Logs the start and the end of an outage. Jobs that wait for the store wake by themselves.
    fn store_changed(&mut self, state: StoreState) {
        let what = match state {
            StoreState::Lost { since } => {
                self.store_lost = Some(since);
                What::StoreLost {
                    silent_ms: millis(self.clock.now().since(since)),
                }
            }
            StoreState::Reachable { since } => match self.store_lost.take() {
                Some(lost) => What::StoreBack {
                    away_ms: millis(since.since(lost)),
                },
                // The outage ended before it was logged.
                None => return,
            },
        };
        self.timeline.say(About::default(), what);
    }

    fn find(&self, job: &str) -> Option<usize> {
        let mut seats = self.seats.iter();
        seats.find_map(|(at, seat)| (&*seat.bench.name == job).then_some(*at))
    }

    /// Applies a change. A running guest goes on, and a waiting job keeps its place if it may.
    fn change(&mut self, change: Change) {
        match change {
            Change::Set(bench, why) => {
                if let Some(at) = self.find(&bench.name) {
                    self.replace(at, bench, why);
                } else {
                    self.add(*bench);
                }
            }
            Change::Remove(job) => {
                if let Some(at) = self.find(&job) {
                    self.remove(at);
                }
            }
        }
    }

    fn add(&mut self, bench: Bench) {
        let facts = bench.plugin.facts();
        self.timeline.say(
            bench.about(),
            What::JobAdded {
                plugin: facts.path.display().to_string(),
                sha256: facts.sha256.clone(),
            },
        );
        let at = self.sit(Seat::new(bench));
        self.start(at);
    }

    fn replace(&mut self, at: usize, bench: Box<Bench>, why: Option<String>) {
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        let about = bench.about();
        let facts = bench.plugin.facts();
        let (plugin, sha256) = (facts.path.display().to_string(), facts.sha256.clone());
        let taken = seat.take_bench(bench);
        let is_over = matches!(seat.state, State::Ended(_));
        self.timeline.say(
            about,
            What::JobChanged {
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
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        seat.next = None;
        seat.leaving = true;
        seat.end();
        seat.bench.stop.requested.cancel();
        let about = seat.bench.about();
        let is_over = matches!(seat.state, State::Ended(_));
        self.timeline.say(about, What::JobRemoved);
        if is_over {
            self.after_end(at);
        }
    }

    /// Handles the end of a job: starts its successor, removes the job, or does nothing.
    fn after_end(&mut self, at: usize) {
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        if let Some(next) = seat.next.take() {
            *seat = seat.succeeded_by(*next);
            self.start(at);
        } else if seat.leaving {
            self.journal
                .job_gone(text(&seat.bench.name), text(&seat.bench.host));
            self.seats.remove(&at);
            self.unwritten.remove(&at);
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
    fn take(&mut self, at: usize, outcome: Outcome) {
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        let awaited_store = seat.awaits_store;
        seat.awaits_store = match &outcome {
            Outcome::Missed(Missed::Away(_)) | Outcome::Claimed(_, Claim::Trouble(_)) => true,
            Outcome::Released => awaited_store,
            _ => false,
        };
        if awaited_store && !seat.awaits_store {
            // The store is queried again, and the last error may be over.
            seat.detail.clear();
        }
        let event = match outcome {
            Outcome::Slept { cancelled: false } => Event::Woke,
            Outcome::Slept { cancelled: true } => Event::Cancelled,
            Outcome::StoreBack => {
                // The store's outage is over, and does not count as the job's failure.
                seat.machine.failures = 0;
                Event::Woke
            }
            Outcome::Looked(look) => Event::Looked(look),
            Outcome::Ready(provisions) => {
                seat.provisions = Some(provisions);
                Event::Ready
            }
            Outcome::Superseded => Event::Ready,
            Outcome::Lacks(lack) => Event::Lacks(lack),
            Outcome::Acquired(grant, at, provisions) => {
                seat.provisions = Some(provisions);
                seat.acquired = Some(at);
                seat.token = Some(grant.token());
                seat.sequence = 0;
                seat.grant = Some(grant);
                seat.detail.clear();
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
                seat.last = Some(closing::outcome(&report.end));
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
                    Paused::Over(provisions) => {
                        seat.provisions = Some(provisions);
                        Event::Woke
                    }
                    Paused::Lacks(lack) => Event::Lacks(lack),
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
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        seat.state = state;
        seat.since = SystemTime::now();
        seat.settle();
        let is_over = matches!(seat.state, State::Ended(_));
        self.unwritten.insert(at);
        for action in actions {
            self.act(at, action);
        }
        if is_over {
            self.after_end(at);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        let bench = seat.bench.clone();
        // A run logs this itself, when its guest has begun.
        if !matches!(action, Action::Run(_))
            && let (Some(acquired), Some(grant)) = (seat.acquired.take(), &seat.grant)
        {
            work::tell_acquired(&bench, grant, acquired);
        }
        if matches!(action, Action::Acquire | Action::Claim { .. }) {
            seat.asked = self.clock.now();
        }
        match action {
            Action::Sleep { until } if seat.awaits_store => {
                let asked = seat.asked;
                self.spawn(at, work::sleep_or_back(bench, until, asked));
            }
            Action::Sleep { until } => self.spawn(at, work::sleep(bench, until)),
            Action::Look { tick } => self.spawn(at, claiming::look(bench, tick)),
            Action::Acquire => {
                // The last error may be over; the job waits now.
                seat.detail.clear();
                let provisions = seat.provisions.take();
                self.spawn(at, waiting::acquire(bench, provisions));
            }
            Action::StandBack { until } => self.spawn(at, work::stand_back(bench, until)),
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
                    acquired: seat.acquired.take(),
                };
                match (seat.grant.take(), seat.provisions.take()) {
                    (Some(grant), Some(provisions)) => {
                        self.spawn(at, run::run(bench, grant, provisions, number));
                    }
                    _ => self.broken(at, "a run without a grant or a slot"),
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
            Action::TellStandingBack(lack) => self.tell_standing_back(at, &lack),
            Action::TellBackoff { delay, reason } => {
                seat.detail.clone_from(&reason);
                let delay_ms = millis(delay);
                self.timeline
                    .say(bench.about(), What::Backoff { delay_ms, reason });
            }
            Action::TellEnded(ending) => self.tell_ended(at, ending),
        }
    }

    /// Logs that a job stands back, once for each reason. Of all jobs that wait for a slot, only the first is
    /// logged.
    fn tell_standing_back(&mut self, at: usize, lack: &Lack) {
        let mut others = self.seats.iter().filter(|(other, _)| **other != at);
        let is_told = matches!(lack, Lack::Slot(_)) && others.any(|(_, seat)| seat.lacks_slot());
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        if seat.stand_back(lack) && !is_told {
            let reason = lack.reason().to_owned();
            let about = seat.bench.about();
            self.timeline.say(about, What::StandingBack { reason });
        }
    }

    fn tell_ended(&mut self, at: usize, ending: Ending) {
        let Some(seat) = self.seats.get_mut(&at) else {
            return;
        };
        let about = seat.bench.about();
        match ending {
            Ending::Finished => self.timeline.say(about, What::JobFinished),
            Ending::Stopped => {}
            Ending::Failed(error) => {
                seat.detail.clone_from(&error);
                self.end = self.end.max(HostEnd::JobFailed);
                self.timeline.say(about, What::JobFailed { error });
            }
            Ending::NotAcquired(error) => {
                seat.detail.clone_from(&error);
                self.end = self.end.max(HostEnd::NotAcquired);
                self.timeline.say(about, What::JobFailed { error });
            }
        }
    }

    /// Handles an internal error: the job ends, visibly, and the others go on.
    fn broken(&mut self, at: usize, what: &str) {
        let ending = Ending::Failed(format!("internal: {what}"));
        if let Some(seat) = self.seats.get_mut(&at) {
            seat.state = State::Ended(ending.clone());
        }
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

    /// Records the present state of a job.
    fn note(&self, at: usize) {
        let Some(seat) = self.seats.get(&at) else {
            return;
        };
        let (state, next) = match &seat.state {
            State::Sleeping { until, .. } => {
                let next = match until {
                    Until::Boot(until) => self.wall(*until),
                    Until::Wall(until) => until.as_u64(),
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
