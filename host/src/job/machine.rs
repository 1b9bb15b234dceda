//! The job machine: `step(state, event, now) -> (state, actions)`. No await, no clock, no I/O.
//!
//! ```text
//!              ┌────────────── backoff or next time ───────────────┐
//!              ▼                                                   │
//!  start ─▶ Waiting ──acquired──▶ Running ──ended──▶ Releasing ──▶ Sleeping
//!              │                    │  ▲                │
//!              │ skipped            │  └─ again ─ Pausing
//!              ▼                    ▼                   ▼
//!           Sleeping              (lost)              Ended
//! ```
//!
//! One piece of work is under way for a job at any time, and every piece ends in exactly one event.
//! That is why there is nothing to lock and nothing to race.

use std::time::Duration;

use leasehold_lock::BootTime;

use crate::config::{Beat, Restart, Schedule};

/// What the machine needs to know of a job.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) schedule: Schedule,
    pub(crate) restart: Restart,
    pub(crate) retries: u32,
}

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Continuous,
    Schedule,
    Once,
}

/// Which run this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// From 1; grows while a failed run is tried again.
    pub(crate) attempt: u32,
    /// When it was due.
    pub(crate) due: BootTime,
}

/// What a job is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing until the timer; then this turn.
    Sleeping { until: BootTime, next: Turn },
    /// In the queue of its lock.
    Waiting { turn: Turn },
    /// The guest runs.
    Running { turn: Turn, since: BootTime },
    /// The lock is kept between two runs.
    Pausing { turn: Turn },
    /// The guest has stopped and the lock is being given back; then `then`.
    Releasing { then: Then },
    /// Over.
    Ended(Ending),
}

/// What follows a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Wait(Turn),
    Sleep { until: BootTime, next: Turn },
    End(Ending),
}

/// How a job ended for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A `once` job that succeeded.
    Finished,
    /// It failed and is not tried again.
    Failed(String),
    /// A `once` job that did not get its lock in the time it was given.
    NotAcquired(String),
    /// The host was asked to stop.
    Stopped,
}

/// What the run says about what should follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did its work.
    Done,
    /// It wants the lock kept and to run again after this.
    Again(Duration),
    /// It failed in a way that trying again may mend.
    Failed(String),
    /// It failed in a way that trying again will not mend.
    Fatal(String),
    /// The lock was lost.
    Lost,
    /// The host asked it to stop.
    Stopped,
}

/// Why there was no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Somebody else had it for longer than we were to wait.
    Contended(String),
    /// Something that may be better in a moment.
    Trouble(String),
    /// The host asked to stop.
    Cancelled,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The host has started this job.
    Start,
    /// The timer of `Sleeping` or `Pausing` is up.
    Woke,
    /// The sleep was cut short because the host stops.
    Cancelled,
    Acquired,
    Missed(Missed),
    RunEnded(Verdict),
    /// The lock was lost while no guest ran.
    LostWhilePausing,
    Released,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sleep until then, and say `Woke`.
    Sleep { until: BootTime },
    /// Join the queue.
    Acquire,
    /// Run the guest under the grant that was just acquired or is still held.
    Run(Turn),
    /// Keep the grant for this long, then say `Woke`.
    Pause(Duration),
    /// Give the grant back.
    Release,
    /// Tell people that a run is skipped.
    TellSkipped(String),
    /// Tell people that the job is tried again after a pause.
    TellBackoff { delay: Duration, reason: String },
    /// Tell people that it is over.
    TellEnded(Ending),
}

/// The longest a run may have failed to count as stable: after that a failure starts over at the
/// first pause. Ten first pauses tell a crash loop from a crash.
const STABLE_PAUSES: u32 = 10;

/// Advances a job.
///
/// `failures` counts failures in a row and belongs to the job; `stopping` is whether the host stops;
/// `jitter` is in `0.0..1.0` and spreads pauses so that hosts do not come back in step.
pub(crate) struct Machine {
    pub(crate) rules: Rules,
    pub(crate) failures: u32,
    pub(crate) stopping: bool,
}

impl Machine {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self {
            rules,
            failures: 0,
            stopping: false,
        }
    }

    /// Takes one event in.
    pub(crate) fn step(
        &mut self,
        state: State,
        event: Event,
        now: BootTime,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        match (state, event) {
            (State::Sleeping { next, .. }, Event::Start | Event::Woke) if !self.stopping => {
                (State::Waiting { turn: next }, vec![Action::Acquire])
            }
            (State::Waiting { turn }, Event::Acquired) if !self.stopping => {
                (State::Running { turn, since: now }, vec![Action::Run(turn)])
            }
            (State::Waiting { turn }, Event::Missed(missed)) => {
                self.missed(turn, missed, now, jitter)
            }
            (State::Running { turn, since }, Event::RunEnded(verdict)) => {
                self.run_ended(turn, since, verdict, now, jitter)
            }
            (State::Pausing { turn }, Event::Woke) if !self.stopping => {
                (State::Running { turn, since: now }, vec![Action::Run(turn)])
            }
            (State::Pausing { turn }, Event::LostWhilePausing) => {
                Self::release(self.or_stop(Then::Wait(turn)))
            }
            (State::Waiting { .. }, Event::Acquired)
            | (State::Pausing { .. }, Event::Woke | Event::Cancelled) => {
                Self::release(Then::End(Ending::Stopped))
            }
            (State::Releasing { then }, Event::Released) => Self::then(self.or_stop(then)),
            (State::Sleeping { .. } | State::Waiting { .. }, _) => Self::ended(Ending::Stopped),
            // An event that its state does not expect is a fault of ours. Ending the job is safe and
            // visible; going on would be neither.
            (state @ State::Ended(_), _) => (state, vec![]),
            (state, event) => Self::ended(Ending::Failed(format!(
                "internal: {event:?} while {state:?}"
            ))),
        }
    }

    /// The first state of a job and what to do about it.
    pub(crate) fn start(&mut self, now: BootTime) -> (State, Vec<Action>) {
        let next = Turn {
            attempt: 1,
            due: now,
        };
        self.step(State::Sleeping { until: now, next }, Event::Start, now, 0.0)
    }

    fn run_ended(
        &mut self,
        turn: Turn,
        since: BootTime,
        verdict: Verdict,
        now: BootTime,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        let stable = self.rules.restart.min() * STABLE_PAUSES;
        if matches!(verdict, Verdict::Done | Verdict::Again(_)) || now.since(since) > stable {
            self.failures = 0;
        }
        match verdict {
            Verdict::Again(pause) if !self.stopping => {
                let turn = Turn { attempt: 1, ..turn };
                (State::Pausing { turn }, vec![Action::Pause(pause)])
            }
            Verdict::Stopped | Verdict::Again(_) => Self::release(Then::End(Ending::Stopped)),
            Verdict::Done => match &self.rules.schedule {
                Schedule::Once => Self::release(Then::End(Ending::Finished)),
                Schedule::Ticks(_) => Self::release(self.next_time(turn, now)),
                Schedule::KeepRunning => {
                    let until = now.after(self.rules.restart.min());
                    let next = Turn {
                        attempt: 1,
                        due: until,
                    };
                    Self::release(Then::Sleep { until, next })
                }
            },
            // The work is unfinished and nobody is to blame: back into the queue.
            Verdict::Lost => Self::release(self.or_stop(Then::Wait(Turn {
                attempt: turn.attempt + 1,
                ..turn
            }))),
            Verdict::Fatal(reason) => Self::release(Then::End(Ending::Failed(reason))),
            Verdict::Failed(reason) => {
                let (then, told) = self.after_failure(turn, reason, now, jitter);
                let (state, mut actions) = Self::release(self.or_stop(then));
                actions.extend(told);
                (state, actions)
            }
        }
    }

    fn after_failure(
        &mut self,
        turn: Turn,
        reason: String,
        now: BootTime,
        jitter: f64,
    ) -> (Then, Option<Action>) {
        let may_retry = match &self.rules.schedule {
            Schedule::KeepRunning => true,
            Schedule::Once | Schedule::Ticks(_) => turn.attempt <= self.rules.retries,
        };
        match &self.rules.schedule {
            Schedule::Once if !may_retry => (Then::End(Ending::Failed(reason)), None),
            Schedule::Ticks(_) if !may_retry => (self.next_time(turn, now), None),
            _ => {
                let delay = self.backoff(jitter);
                let until = now.after(delay);
                let next = Turn {
                    attempt: turn.attempt + 1,
                    due: turn.due,
                };
                let told = Action::TellBackoff { delay, reason };
                (Then::Sleep { until, next }, Some(told))
            }
        }
    }

    fn missed(
        &mut self,
        turn: Turn,
        missed: Missed,
        now: BootTime,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        match missed {
            Missed::Cancelled => Self::ended(Ending::Stopped),
            Missed::Contended(reason) => match &self.rules.schedule {
                Schedule::Once => Self::ended(Ending::NotAcquired(reason)),
                Schedule::Ticks(_) => {
                    let (state, mut actions) = Self::then(self.next_time(turn, now));
                    actions.insert(0, Action::TellSkipped(reason));
                    (state, actions)
                }
                Schedule::KeepRunning => self.try_again(turn, reason, now, jitter),
            },
            Missed::Trouble(reason) => self.try_again(turn, reason, now, jitter),
        }
    }

    /// Not the guest's failure, so not an attempt of it: the same turn after a pause.
    fn try_again(
        &mut self,
        turn: Turn,
        reason: String,
        now: BootTime,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        let delay = self.backoff(jitter);
        let until = now.after(delay);
        let (state, mut actions) = Self::then(self.or_stop(Then::Sleep { until, next: turn }));
        actions.insert(0, Action::TellBackoff { delay, reason });
        (state, actions)
    }

    /// The next pause: doubles with each failure in a row, and lies in its upper half.
    fn backoff(&mut self, jitter: f64) -> Duration {
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let full = self.rules.restart.min() * (1 << doublings);
        full.min(self.rules.restart.max())
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// The next due time of an `every` job. Times that have passed meanwhile are left out.
    fn next_time(&self, turn: Turn, now: BootTime) -> Then {
        let Schedule::Ticks(ticks) = &self.rules.schedule else {
            return Then::Wait(turn);
        };
        let Beat::Every(every) = ticks.beat() else {
            return Then::End(Ending::Failed("`cron` is not run yet".into()));
        };
        let every_nanos = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
        let passed = now.as_nanos().saturating_sub(turn.due.as_nanos()) / every_nanos + 1;
        let due = turn
            .due
            .after(Duration::from_nanos(every_nanos.saturating_mul(passed)));
        Then::Sleep {
            until: due,
            next: Turn { attempt: 1, due },
        }
    }

    fn or_stop(&self, then: Then) -> Then {
        match then {
            Then::Wait(_) | Then::Sleep { .. } if self.stopping => Then::End(Ending::Stopped),
            then => then,
        }
    }

    fn release(then: Then) -> (State, Vec<Action>) {
        (State::Releasing { then }, vec![Action::Release])
    }

    fn then(then: Then) -> (State, Vec<Action>) {
        match then {
            Then::Wait(turn) => (State::Waiting { turn }, vec![Action::Acquire]),
            Then::Sleep { until, next } => (
                State::Sleeping { until, next },
                vec![Action::Sleep { until }],
            ),
            Then::End(ending) => Self::ended(ending),
        }
    }

    fn ended(ending: Ending) -> (State, Vec<Action>) {
        (
            State::Ended(ending.clone()),
            vec![Action::TellEnded(ending)],
        )
    }
}

impl Rules {
    /// Why a run of such a job starts.
    pub(crate) const fn cause(&self) -> Cause {
        match self.schedule {
            Schedule::KeepRunning => Cause::Continuous,
            Schedule::Once => Cause::Once,
            Schedule::Ticks(_) => Cause::Schedule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    const SECOND: Duration = Duration::from_secs(1);

    fn machine(job: &str) -> Machine {
        let text = format!(
            "[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.j]\nplugin = \"x.wasm\"\n{job}"
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a valid job");
        let job = &config.jobs()[0];
        Machine::new(Rules {
            schedule: job.schedule().clone(),
            restart: job.restart(),
            retries: job.retries(),
        })
    }

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    /// Starts the job at 100 s and brings it to a run that ends at `end` with `verdict`.
    fn run(machine: &mut Machine, end: u64, verdict: Verdict) -> (State, Vec<Action>) {
        let (state, actions) = machine.start(at(100));
        assert_eq!(actions, [Action::Acquire]);
        let (state, _) = machine.step(state, Event::Acquired, at(100), 1.0);
        machine.step(state, Event::RunEnded(verdict), at(end), 1.0)
    }

    fn released(machine: &mut Machine, state: State, now: u64) -> (State, Vec<Action>) {
        machine.step(state, Event::Released, at(now), 1.0)
    }

    /// Promise P1. Fails on a machine that releases before the run has ended.
    #[test]
    fn the_lock_is_given_back_only_after_the_run_has_ended() {
        for verdict in [
            Verdict::Done,
            Verdict::Failed("x".into()),
            Verdict::Fatal("x".into()),
            Verdict::Lost,
            Verdict::Stopped,
        ] {
            let mut machine = machine("once = true");
            let (state, actions) = machine.start(at(1));
            assert!(!actions.contains(&Action::Release));
            let (state, actions) = machine.step(state, Event::Acquired, at(1), 1.0);
            assert!(!actions.contains(&Action::Release));
            let (state, actions) = machine.step(state, Event::RunEnded(verdict), at(2), 1.0);
            assert!(actions.contains(&Action::Release));
            assert!(matches!(state, State::Releasing { .. }));
        }
    }

    #[test]
    fn a_once_job_finishes_and_ends() {
        let mut machine = machine("once = true");
        let (state, _) = run(&mut machine, 101, Verdict::Done);
        let (state, actions) = released(&mut machine, state, 101);
        assert_eq!(state, State::Ended(Ending::Finished));
        assert_eq!(actions, [Action::TellEnded(Ending::Finished)]);
    }

    #[test]
    fn a_lost_run_goes_straight_back_into_the_queue() {
        let mut machine = machine("once = true");
        let (state, _) = run(&mut machine, 101, Verdict::Lost);
        let (state, actions) = released(&mut machine, state, 101);
        assert_eq!(actions, [Action::Acquire]);
        assert!(matches!(state, State::Waiting { turn } if turn.attempt == 2));
    }

    #[test]
    fn a_failed_once_job_is_tried_again_as_often_as_it_may() {
        let mut machine = machine("once = true\nretries = 1");
        let (state, actions) = run(&mut machine, 101, Verdict::Failed("no".into()));
        assert!(matches!(&actions[1], Action::TellBackoff { delay, .. } if *delay == SECOND));
        let (state, _) = released(&mut machine, state, 101);
        let (state, _) = machine.step(state, Event::Woke, at(102), 1.0);
        let (state, _) = machine.step(state, Event::Acquired, at(102), 1.0);
        let failed = Event::RunEnded(Verdict::Failed("still no".into()));
        let (state, _) = machine.step(state, failed, at(103), 1.0);
        let (state, _) = released(&mut machine, state, 103);
        assert_eq!(state, State::Ended(Ending::Failed("still no".into())));
    }

    #[test]
    fn pauses_double_while_it_fails_and_start_over_after_a_stable_run() {
        let mut machine = machine("restart = { min = \"1s\", max = \"5s\" }");
        let mut delays = vec![];
        for end in [101, 101, 101, 101, 150] {
            let (_, actions) = run(&mut machine, end, Verdict::Failed("x".into()));
            let Some(Action::TellBackoff { delay, .. }) = actions.last() else {
                panic!("no pause in {actions:?}");
            };
            delays.push(delay.as_secs());
        }
        assert_eq!(delays, [1, 2, 4, 5, 1]);
    }

    #[test]
    fn an_every_job_keeps_its_beat_and_leaves_out_what_has_passed() {
        let mut machine = machine("every = \"10s\"");
        let (state, _) = run(&mut machine, 125, Verdict::Done);
        let (state, _) = released(&mut machine, state, 125);
        assert!(matches!(state, State::Sleeping { until, .. } if until == at(130)));
    }

    #[test]
    fn an_every_job_that_misses_its_lock_says_so_and_waits_for_its_next_time() {
        let mut machine = machine("every = \"10s\"\nwait = \"never\"");
        let (state, _) = machine.start(at(100));
        let missed = Event::Missed(Missed::Contended("held".into()));
        let (state, actions) = machine.step(state, missed, at(100), 1.0);
        assert_eq!(actions[0], Action::TellSkipped("held".into()));
        assert!(matches!(state, State::Sleeping { until, .. } if until == at(110)));
    }

    #[test]
    fn again_keeps_the_lock_and_a_loss_in_the_pause_goes_back_to_the_queue() {
        let mut machine = machine("");
        let (state, actions) = run(&mut machine, 101, Verdict::Again(SECOND));
        assert_eq!(actions, [Action::Pause(SECOND)]);
        let (state, actions) = machine.step(state, Event::LostWhilePausing, at(101), 1.0);
        assert_eq!(actions, [Action::Release]);
        let (_, actions) = released(&mut machine, state, 101);
        assert_eq!(actions, [Action::Acquire]);
    }

    #[test]
    fn a_stopping_host_starts_nothing_and_ends_everything() {
        let mut machine = machine("");
        let (waiting, _) = machine.start(at(1));
        machine.stopping = true;
        let (state, actions) = machine.step(waiting, Event::Acquired, at(2), 1.0);
        assert_eq!(actions, [Action::Release]);
        let (state, _) = released(&mut machine, state, 2);
        assert_eq!(state, State::Ended(Ending::Stopped));

        let turn = Turn {
            attempt: 1,
            due: at(1),
        };
        let sleeping = State::Sleeping {
            until: at(9),
            next: turn,
        };
        let (state, _) = machine.step(sleeping, Event::Cancelled, at(2), 1.0);
        assert_eq!(state, State::Ended(Ending::Stopped));
        let running = State::Running { turn, since: at(1) };
        let ended = Event::RunEnded(Verdict::Failed("cut".into()));
        let (state, _) = machine.step(running, ended, at(2), 1.0);
        let (state, _) = released(&mut machine, state, 2);
        assert_eq!(state, State::Ended(Ending::Stopped));
    }

    #[test]
    fn trouble_with_the_store_is_not_an_attempt_of_the_guest() {
        let mut machine = machine("once = true");
        let (state, _) = machine.start(at(1));
        let missed = Event::Missed(Missed::Trouble("no store".into()));
        let (state, actions) = machine.step(state, missed, at(1), 1.0);
        assert!(matches!(&actions[0], Action::TellBackoff { .. }));
        assert!(matches!(state, State::Sleeping { next, .. } if next.attempt == 1));
    }
}
