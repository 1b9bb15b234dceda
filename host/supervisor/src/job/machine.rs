//! The job machine: `step(state, event, now) -> (state, actions)`. No await, no clock, no I/O.
//!
//! ```text
//!              ┌──────────────── backoff or next time ─────────────────┐
//!              ▼                                                       │
//!  start ─▶ Waiting ──acquired──────▶ Running ──ended───▶ Releasing ──▶ Sleeping
//!              │                        │  ▲                 │
//!              │ skipped                │  └─ again ─ Pausing
//!              ▼                        ▼                    ▼
//!           Sleeping                  (lost)               Ended
//! ```
//!
//! A job with ticks takes three more steps, each with requests to the store. Before it waits for the lock, it reads
//! whether its tick is done already. Under the lock, before the guest runs, it claims the tick. After the guest has
//! stopped, before the lock is given back, it marks the tick.
//!
//! ```text
//!  Sleeping ──due──▶ Looking ──open──▶ Waiting ──acquired──▶ Claiming ──ours──▶ Running ──ended──▶ Marking ──▶ Releasing
//!      ▲                │ done                                  │ not ours                                      ▲
//!      └────────────────┘                                       └───────────────────────────────────────────────┘
//! ```
//!
//! A run needs more than its lock: a slot, secrets, directories, a clock that agrees with those of other hosts. A
//! lack shows before the lock is acquired or while it is held. Either way the job gives back its lock and its place
//! in the queue, and marks nothing. It stands back until the lack may have ended. Its tick stays open for other
//! hosts.
//!
//! ```text
//!  Looking, Waiting ──────────────lacks──────────────▶ StandingBack ──ready──▶ Looking, Waiting
//!  Claiming, Pausing, Running ──lacks──▶ Releasing ──▶      ↺ lacks
//! ```
//!
//! One piece of work is under way for a job at any time, and every piece ends in exactly one event. So nothing
//! needs a lock, and no two events race.

use std::time::Duration;

use leasehold_lock::BootTime;

use super::clocks::SKEW;
use leasehold_config::wall::UnixMs;
use leasehold_config::{MissedTicks, Restart, Schedule, Ticks};

/// Longest lateness of a wake-up on a busy machine; a later one shows that the machine was suspended. A tick that
/// passed within this time is replaced by the current one.
const HICCUP: Duration = Duration::from_secs(1);

/// Settings of a job that the machine needs.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) schedule: Schedule,
    pub(crate) restart: Restart,
    pub(crate) retries: u32,
}

/// The current moment: pauses are measured on the boot-time clock, ticks come by wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) boot: BootTime,
    pub(crate) wall: UnixMs,
}

/// A moment on one of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Boot(BootTime),
    Wall(UnixMs),
}

/// Reason for which a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Continuous,
    Schedule,
    Once,
}

/// Attempt and tick of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Number of the attempt, from 1; grows with each retry of a failed run.
    pub(crate) attempt: u32,
    /// The tick of the run; `None` for a job without ticks.
    pub(crate) tick: Option<UnixMs>,
}

/// Current activity of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for the timer; then starts this turn.
    Sleeping { until: Until, next: Turn },
    /// Reads whether its tick is done already. A `late` tick is run only if a host has begun it.
    Looking { turn: Turn, late: bool },
    /// Gets the resources that the run needs on this host, and then waits in the queue of its lock.
    Waiting { turn: Turn },
    /// Waits without lock and queue entry, because this host lacks something. A lacking slot is waited for;
    /// anything else is looked for again at `until`.
    StandingBack { turn: Turn, until: Option<BootTime> },
    /// The lock is held, and the tick is being claimed.
    Claiming { turn: Turn },
    /// The guest runs.
    Running { turn: Turn, since: BootTime },
    /// The lock is kept between two runs.
    Pausing { turn: Turn },
    /// The guest has stopped, and its tick is being marked; then the lock is given back, and then `then`.
    Marking { then: Then },
    /// The guest has stopped and the lock is being given back; then `then`.
    Releasing { then: Then },
    /// The job has ended and does not run again.
    Ended(Ending),
}

/// Next step after a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Wait(Turn),
    Sleep { until: Until, next: Turn },
    StandBack { turn: Turn, until: Option<BootTime> },
    End(Ending),
}

/// Something that a run needs and does not have on this host now, with a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A slot: as many guests run on this host as are allowed.
    Slot(String),
    /// A clock that agrees with those of other hosts. It is checked again after a pause, for it may have been set.
    Clock(String),
    /// A secret, a directory or memory. It is checked again after a pause.
    Other(String),
}

impl Lack {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Slot(reason) | Self::Clock(reason) | Self::Other(reason) => reason,
        }
    }

    /// True if both read the same to a person. The numbers in a sentence about slots or clocks change at every check.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Slot(_), Self::Slot(_)) | (Self::Clock(_), Self::Clock(_)) => true,
            (this, other) => this == other,
        }
    }

    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Slot(reason) | Self::Clock(reason) | Self::Other(reason) => reason,
        }
    }
}

/// Final result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A `once` job that succeeded.
    Finished,
    /// The last run failed and is not retried.
    Failed(String),
    /// A `once` job that did not get its lock within its waiting time.
    NotAcquired(String),
    /// The host was asked to stop.
    Stopped,
}

/// Effect of a run's end on the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The run succeeded.
    Done,
    /// The guest asked to keep the lock and to run again after this pause.
    Again(Duration),
    /// The run failed, and a retry may succeed.
    Failed(String),
    /// The run failed, and a retry would fail too.
    Fatal(String),
    /// The lock was lost.
    Lost,
    /// The host stopped the run.
    Stopped,
    /// The guest was never started.
    Lacks(Lack),
}

/// Reason for which no grant was acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Another holder kept the lock for longer than the job was to wait.
    Contended(String),
    /// A failure that may have passed after a pause.
    Trouble(String),
    /// The store did not answer.
    Away(String),
    /// Something was lacking: the lock was not requested, or was given back at once.
    Lacks(Lack),
    /// The host stops.
    Cancelled,
}

/// State of a tick as read without the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// No host has begun it, or it could not be read.
    Open,
    /// A host has begun it and not finished it yet.
    Begun,
    /// The tick is done, or a later one has been begun.
    Over { known: UnixMs, reason: String },
    /// This host lacks something to run the tick now.
    Lacks(Lack),
}

/// Result of claiming a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// This host claimed the tick, which may be newer than the one requested.
    Ours { tick: UnixMs, attempt: u32 },
    /// The tick is done, or a later one has been begun.
    Over { known: UnixMs, reason: String },
    /// An attempt at it has failed, and the next one is not due yet.
    NotYet { wait: Duration, reason: String },
    /// This host lacks something to run the tick now.
    Lacks(Lack),
    /// The lock was lost before the tick was claimed.
    Lost,
    /// A failure that may have passed after a pause.
    Trouble(String),
}

/// New state of a tick in its record, once its run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The tick is not to be run again.
    Done,
    /// The tick is to be run again, by the next holder of the lock, but not before this time.
    Retry { not_before: UnixMs },
}

/// Input of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The timer of `Sleeping` or `Pausing` has ended, or the wall clock that it follows was set.
    Woke,
    /// The sleep was cut short because the host stops.
    Cancelled,
    Looked(Look),
    /// The lacking resource may be available now. All that the run needs but the lock is reserved.
    Ready,
    /// The next run lacks something, still or again.
    Lacks(Lack),
    Acquired,
    Missed(Missed),
    Claimed(Claim),
    RunEnded(Verdict),
    /// The lock was lost while no guest ran.
    LostWhilePausing,
    /// The tick is marked, or marking it was given up.
    Marked,
    Released,
}

/// Output of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sleep until then, or until the wall clock is set; then send `Woke`.
    Sleep { until: Until },
    /// Read the state of this tick.
    Look { tick: UnixMs },
    /// Get what the run needs on this host, and join the queue.
    Acquire,
    /// Wait for a slot, or until this moment; then get what the run needs on this host.
    StandBack { until: Option<BootTime> },
    /// Claim this tick. If no host has begun it and a newer one is due, claim the newest.
    Claim { tick: UnixMs, newest: UnixMs },
    /// Run the guest under the grant that was just acquired or is still held.
    Run(Turn),
    /// Keep the grant for this long, then send `Woke`.
    Pause(Duration),
    /// Write the new state of this tick.
    Mark { tick: UnixMs, mark: Mark },
    /// Give the grant back.
    Release,
    /// Log that a run is skipped.
    TellSkipped(String),
    /// Log that other hosts have to run the job for now.
    TellStandingBack(Lack),
    /// Log that the job is tried again after a pause.
    TellBackoff { delay: Duration, reason: String },
    /// Log the final result.
    TellEnded(Ending),
}

/// Run time, in first pauses, after which a failed run counts as stable: the next pause is then the first one
/// again. Ten first pauses separate a crash loop from a crash.
const STABLE_PAUSES: u32 = 10;

/// Shortest time between the starts of two runs under one grant; a job whose first pause is shorter may use that. A
/// guest chooses its pause itself, and each run costs the host as much as a grant.
const LEAST_BEAT: Duration = Duration::from_millis(100);

/// State machine of one job.
///
/// `failures` counts the job's failures in a row, and `stopping` is set when the host stops. `jitter` is in
/// `0.0..1.0` and spreads pauses and ticks, so that hosts do not come back in step.
pub(crate) struct Machine {
    pub(crate) rules: Rules,
    pub(crate) failures: u32,
    pub(crate) stopping: bool,
    /// The latest tick that this host has nothing left to do for. Later ticks are planned after it, so that a clock
    /// that is put back brings no tick twice.
    handled: Option<UnixMs>,
}

impl Machine {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self {
            rules,
            failures: 0,
            stopping: false,
            handled: None,
        }
    }

    /// Applies one event.
    pub(crate) fn step(
        &mut self,
        state: State,
        event: Event,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        match (state, event) {
            (State::Sleeping { until, next }, Event::Woke) if !self.stopping => {
                self.woke(until, next, now, jitter)
            }
            (State::Looking { turn, late }, Event::Looked(look)) if !self.stopping => {
                self.looked(turn, late, look, now, jitter)
            }
            (State::StandingBack { turn, .. }, Event::Ready) if !self.stopping => {
                self.ready(turn, now, jitter)
            }
            (State::StandingBack { turn, .. }, Event::Lacks(lack)) => {
                self.lacks(turn, lack, now, jitter)
            }
            (State::Pausing { turn }, Event::Lacks(lack)) => {
                self.lacks_with_lock(turn, lack, now, jitter)
            }
            (State::Waiting { turn }, Event::Acquired) if !self.stopping => {
                self.acquired(turn, now, jitter)
            }
            (State::Waiting { turn }, Event::Missed(missed)) => {
                self.missed(turn, missed, now, jitter)
            }
            (State::Claiming { turn }, Event::Claimed(claim)) => {
                self.claimed(turn, claim, now, jitter)
            }
            (State::Running { turn, since }, Event::RunEnded(verdict)) => {
                self.run_ended(turn, since, verdict, now, jitter)
            }
            (State::Pausing { turn }, Event::Woke) if !self.stopping => run(turn, now),
            (State::Pausing { turn }, Event::LostWhilePausing) => {
                release(self.or_stop(Then::Wait(turn)))
            }
            (State::Waiting { .. }, Event::Acquired)
            | (State::Pausing { .. }, Event::Woke | Event::Cancelled) => {
                release(Then::End(Ending::Stopped))
            }
            (State::Marking { then }, Event::Marked) => release(self.or_stop(then)),
            (State::Releasing { then }, Event::Released) => then_enter(self.or_stop(then)),
            (
                State::Sleeping { .. }
                | State::Looking { .. }
                | State::Waiting { .. }
                | State::StandingBack { .. },
                _,
            ) => ended(Ending::Stopped),
            // An event that its state does not expect is an internal error. Ending the job is safe and visible;
            // going on would be neither.
            (state @ State::Ended(_), _) => (state, vec![]),
            (state, event) => ended(Ending::Failed(format!(
                "internal: {event:?} while {state:?}"
            ))),
        }
    }

    /// Returns the first state of a job and its actions.
    pub(crate) fn start(&mut self, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let Schedule::Ticks(ticks) = &self.rules.schedule else {
            let turn = Turn {
                attempt: 1,
                tick: None,
            };
            return (State::Waiting { turn }, vec![Action::Acquire]);
        };
        let Some(newest) = ticks.beat().newest(now.wall) else {
            return then_enter(self.plan(now, jitter));
        };
        let turn = Turn::of(newest);
        let is_due = match ticks.missed() {
            // A job that starts runs the current slot of its period.
            MissedTicks::Skip => ticks.beat().is_period(),
            MissedTicks::CatchUp => true,
        };
        if !is_due {
            // The tick passed before the job started. If a host began it and did not finish it, it is run now.
            return look(turn, true);
        }
        let until = newest.after(ticks.jitter().mul_f64(jitter));
        if until > now.wall {
            let until = Until::Wall(until);
            return then_enter(Then::Sleep { until, next: turn });
        }
        look(turn, false)
    }

    /// Handles the end of the sleep, or a change of the wall clock during it.
    fn woke(&mut self, until: Until, turn: Turn, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return (State::Waiting { turn }, vec![Action::Acquire]);
        };
        let Until::Wall(due) = until else {
            if tick > now.wall.after(SKEW) {
                // The clock was set back to the right time meanwhile.
                return then_enter(self.plan(now, jitter));
            }
            // The pause is over, and the tick is the same.
            return look(turn, false);
        };
        if now.wall < due {
            return then_enter(self.replan(due, tick, now, jitter));
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        if newest == tick {
            return look(turn, false);
        }
        let late = ticks.missed() == MissedTicks::Skip && now.wall.since(due) > HICCUP;
        let (state, mut actions) = look(Turn::of(newest), late);
        actions.insert(0, Action::TellSkipped(passed(tick)));
        (state, actions)
    }

    fn looked(
        &mut self,
        turn: Turn,
        late: bool,
        look: Look,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        match look {
            // No host has begun it, and a late tick is skipped. The next one is planned from now on.
            Look::Open if late => then_enter(self.plan(now, jitter)),
            Look::Open | Look::Begun => (State::Waiting { turn }, vec![Action::Acquire]),
            Look::Lacks(lack) => self.lacks(turn, lack, now, jitter),
            Look::Over { known, reason } => {
                self.handle_known(turn.tick, known, now);
                let (state, mut actions) = then_enter(self.plan(now, jitter));
                if !late {
                    actions.insert(0, Action::TellSkipped(reason));
                }
                (state, actions)
            }
        }
    }

    /// Goes on after a lack has ended, perhaps with a newer tick.
    fn ready(&self, turn: Turn, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return (State::Waiting { turn }, vec![Action::Acquire]);
        };
        if tick > now.wall {
            // The clock was set back, and this tick is in the future again.
            return then_enter(self.plan(now, jitter));
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        if newest == tick {
            return look(turn, false);
        }
        let (state, mut actions) = look(Turn::of(newest), false);
        actions.insert(0, Action::TellSkipped(passed(tick)));
        (state, actions)
    }

    /// Stands back without a lock.
    fn lacks(&mut self, turn: Turn, lack: Lack, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let then = self.stand_back(turn, &lack, now, jitter);
        let (state, mut actions) = then_enter(then);
        if !self.stopping {
            actions.insert(0, Action::TellStandingBack(lack));
        }
        (state, actions)
    }

    /// Stands back under a lock: releases it first, and marks nothing.
    fn lacks_with_lock(
        &mut self,
        turn: Turn,
        lack: Lack,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        let then = self.stand_back(turn, &lack, now, jitter);
        let (state, mut actions) = release(then);
        if !self.stopping {
            actions.push(Action::TellStandingBack(lack));
        }
        (state, actions)
    }

    fn stand_back(&mut self, turn: Turn, lack: &Lack, now: Now, jitter: f64) -> Then {
        let until = match lack {
            Lack::Slot(_) => None,
            Lack::Clock(_) | Lack::Other(_) => Some(now.boot.after(self.backoff(jitter))),
        };
        self.or_stop(Then::StandBack { turn, until })
    }

    fn acquired(&self, turn: Turn, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return run(turn, now);
        };
        if tick > now.wall.after(SKEW) {
            // The clock was set back to the right time meanwhile.
            return release(self.plan(now, jitter));
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        (
            State::Claiming { turn },
            vec![Action::Claim { tick, newest }],
        )
    }

    fn claimed(&mut self, turn: Turn, claim: Claim, now: Now, jitter: f64) -> (State, Vec<Action>) {
        match claim {
            // The claimed tick is not run here; another host takes it over.
            Claim::Ours { .. } if self.stopping => release(Then::End(Ending::Stopped)),
            Claim::Ours { tick, attempt } => {
                let asked = turn.tick.unwrap_or(tick);
                let tick_of = Some(tick);
                let (state, mut actions) = run(
                    Turn {
                        attempt,
                        tick: tick_of,
                    },
                    now,
                );
                if tick > asked {
                    actions.insert(0, Action::TellSkipped(passed(asked)));
                }
                (state, actions)
            }
            Claim::Over { known, reason } => {
                self.handle_known(turn.tick, known, now);
                let then = self.plan(now, jitter);
                let (state, mut actions) = release(self.or_stop(then));
                actions.push(Action::TellSkipped(reason));
                (state, actions)
            }
            Claim::NotYet { wait, reason } => {
                let delay = wait.min(self.rules.restart.max());
                self.release_and_pause(turn, delay, reason, now)
            }
            Claim::Lacks(lack) => self.lacks_with_lock(turn, lack, now, jitter),
            Claim::Lost => release(self.or_stop(Then::Wait(turn))),
            Claim::Trouble(reason) => {
                let delay = self.backoff(jitter);
                self.release_and_pause(turn, delay, reason, now)
            }
        }
    }

    fn run_ended(
        &mut self,
        turn: Turn,
        since: BootTime,
        verdict: Verdict,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        let stable = self.rules.restart.min() * STABLE_PAUSES;
        if matches!(verdict, Verdict::Done | Verdict::Again(_)) || now.boot.since(since) > stable {
            self.failures = 0;
        }
        match verdict {
            Verdict::Again(pause) if !self.stopping => {
                let turn = Turn { attempt: 1, ..turn };
                let least = LEAST_BEAT.min(self.rules.restart.min());
                let pause = pause.max(least.saturating_sub(now.boot.since(since)));
                (State::Pausing { turn }, vec![Action::Pause(pause)])
            }
            // The tick stays begun, for another host to take over.
            Verdict::Stopped | Verdict::Again(_) => release(Then::End(Ending::Stopped)),
            Verdict::Done => match &self.rules.schedule {
                Schedule::Once => release(Then::End(Ending::Finished)),
                Schedule::Ticks(_) => self.mark_done(turn, now, jitter),
                Schedule::KeepRunning => {
                    let until = Until::Boot(now.boot.after(self.rules.restart.min()));
                    let next = Turn { attempt: 1, ..turn };
                    release(Then::Sleep { until, next })
                }
            },
            // The work is unfinished, and the guest did not fail: it waits in the queue again.
            Verdict::Lost => release(self.or_stop(Then::Wait(Turn {
                attempt: turn.attempt + 1,
                ..turn
            }))),
            // The tick stays begun, for another host to take over.
            Verdict::Lacks(lack) => self.lacks_with_lock(turn, lack, now, jitter),
            Verdict::Fatal(reason) => mark(turn, Mark::Done, Then::End(Ending::Failed(reason))),
            Verdict::Failed(reason) => self.failed(turn, reason, now, jitter),
        }
    }

    fn failed(
        &mut self,
        turn: Turn,
        reason: String,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        let may_retry = match &self.rules.schedule {
            Schedule::KeepRunning => true,
            Schedule::Once | Schedule::Ticks(_) => turn.attempt <= self.rules.retries,
        };
        match &self.rules.schedule {
            Schedule::Once if !may_retry => return release(Then::End(Ending::Failed(reason))),
            Schedule::Ticks(_) if !may_retry => return self.mark_done(turn, now, jitter),
            _ => {}
        }
        let delay = self.backoff(jitter);
        let not_before = now.wall.after(delay);
        if let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule)
            && ticks
                .beat()
                .next(tick)
                .is_some_and(|next| next <= not_before)
        {
            // The next tick is due before this one could be retried.
            return self.mark_done(turn, now, jitter);
        }
        let then = Then::Sleep {
            until: Until::Boot(now.boot.after(delay)),
            next: Turn {
                attempt: turn.attempt + 1,
                ..turn
            },
        };
        let (state, mut actions) = mark(turn, Mark::Retry { not_before }, self.or_stop(then));
        actions.push(Action::TellBackoff { delay, reason });
        (state, actions)
    }

    fn mark_done(&mut self, turn: Turn, now: Now, jitter: f64) -> (State, Vec<Action>) {
        self.handle(turn.tick, now);
        let then = self.plan(now, jitter);
        mark(turn, Mark::Done, then)
    }

    fn missed(
        &mut self,
        turn: Turn,
        missed: Missed,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        match missed {
            Missed::Cancelled => ended(Ending::Stopped),
            Missed::Contended(reason) => match &self.rules.schedule {
                Schedule::Once => ended(Ending::NotAcquired(reason)),
                Schedule::Ticks(_) => {
                    self.handle(turn.tick, now);
                    let then = self.plan(now, jitter);
                    let (state, mut actions) = then_enter(self.or_stop(then));
                    actions.insert(0, Action::TellSkipped(reason));
                    (state, actions)
                }
                Schedule::KeepRunning => self.try_again(turn, reason, now, jitter),
            },
            Missed::Trouble(reason) | Missed::Away(reason) => {
                self.try_again(turn, reason, now, jitter)
            }
            Missed::Lacks(lack) => self.lacks(turn, lack, now, jitter),
        }
    }

    /// Starts the same turn again after a pause. The guest did not fail, so the attempt is not counted.
    fn try_again(
        &mut self,
        turn: Turn,
        reason: String,
        now: Now,
        jitter: f64,
    ) -> (State, Vec<Action>) {
        let delay = self.backoff(jitter);
        let until = Until::Boot(now.boot.after(delay));
        let (state, mut actions) = then_enter(self.or_stop(Then::Sleep { until, next: turn }));
        actions.insert(0, Action::TellBackoff { delay, reason });
        (state, actions)
    }

    /// Releases the lock, and starts the same turn again after a pause.
    fn release_and_pause(
        &self,
        turn: Turn,
        delay: Duration,
        reason: String,
        now: Now,
    ) -> (State, Vec<Action>) {
        let until = Until::Boot(now.boot.after(delay));
        let (state, mut actions) = release(self.or_stop(Then::Sleep { until, next: turn }));
        actions.push(Action::TellBackoff { delay, reason });
        (state, actions)
    }

    /// Returns the next pause: it doubles with each failure in a row, and lies in its upper half.
    fn backoff(&mut self, jitter: f64) -> Duration {
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let full = self.rules.restart.min() * (1 << doublings);
        full.min(self.rules.restart.max())
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    fn handle(&mut self, tick: Option<UnixMs>, now: Now) {
        self.handled = self.handled(now).max(tick);
    }

    /// Leaves behind ticks that the store shows to be over, except those that a host with a clock ahead of ours has
    /// run.
    fn handle_known(&mut self, tick: Option<UnixMs>, known: UnixMs, now: Now) {
        self.handle(tick, now);
        if known <= now.wall {
            self.handle(Some(known), now);
        }
    }

    /// Plans the next tick for this host. Ticks that have passed meanwhile are skipped, or the newest of them is
    /// caught up with.
    fn plan(&self, now: Now, jitter: f64) -> Then {
        let Schedule::Ticks(ticks) = &self.rules.schedule else {
            return Then::End(Ending::Failed("internal: a tick without a schedule".into()));
        };
        let handled = self.handled(now);
        let is_new = |tick: &UnixMs| handled.is_none_or(|handled| *tick > handled);
        let newest = match ticks.missed() {
            MissedTicks::Skip => None,
            MissedTicks::CatchUp => ticks.beat().newest(now.wall).filter(is_new),
        };
        match newest.or_else(|| self.next_tick(ticks, now)) {
            Some(tick) => Then::Sleep {
                until: Until::Wall(tick.after(ticks.jitter().mul_f64(jitter.clamp(0.0, 1.0)))),
                next: Turn::of(tick),
            },
            None => Then::End(Ending::Failed("its schedule has no further tick".into())),
        }
    }

    fn next_tick(&self, ticks: &Ticks, now: Now) -> Option<UnixMs> {
        let handled = self.handled(now);
        let is_new = |tick: &UnixMs| handled.is_none_or(|handled| *tick > handled);
        let first = ticks.beat().first(now.wall).filter(is_new);
        first.or_else(|| handled.and_then(|handled| ticks.beat().next(handled)))
    }

    /// The latest tick that this host has nothing left to do for. A tick that came while the clock was far ahead
    /// does not count once the clock has been set right.
    fn handled(&self, now: Now) -> Option<UnixMs> {
        self.handled
            .filter(|handled| *handled <= now.wall.after(SKEW))
    }

    /// Plans again after the clock was set while this tick was waited for: another tick may come first now.
    fn replan(&self, due: UnixMs, tick: UnixMs, now: Now, jitter: f64) -> Then {
        let same = Then::Sleep {
            until: Until::Wall(due),
            next: Turn::of(tick),
        };
        match self.plan(now, jitter) {
            Then::Sleep { next, .. } if next == Turn::of(tick) || now.wall >= tick => same,
            plan => plan,
        }
    }

    fn or_stop(&self, then: Then) -> Then {
        match then {
            Then::Wait(_) | Then::Sleep { .. } | Then::StandBack { .. } if self.stopping => {
                Then::End(Ending::Stopped)
            }
            then => then,
        }
    }
}

impl Turn {
    /// Returns the first attempt at this tick.
    const fn of(tick: UnixMs) -> Self {
        Self {
            attempt: 1,
            tick: Some(tick),
        }
    }
}

fn passed(tick: UnixMs) -> String {
    format!("the tick of {tick} passed before it could be started, and the next one is due")
}

fn look(turn: Turn, late: bool) -> (State, Vec<Action>) {
    match turn.tick {
        Some(tick) => (State::Looking { turn, late }, vec![Action::Look { tick }]),
        None => (State::Waiting { turn }, vec![Action::Acquire]),
    }
}

fn run(turn: Turn, now: Now) -> (State, Vec<Action>) {
    let since = now.boot;
    (State::Running { turn, since }, vec![Action::Run(turn)])
}

/// Marks the tick, if there is one, and then releases.
fn mark(turn: Turn, mark: Mark, then: Then) -> (State, Vec<Action>) {
    match turn.tick {
        Some(tick) => (State::Marking { then }, vec![Action::Mark { tick, mark }]),
        None => release(then),
    }
}

fn release(then: Then) -> (State, Vec<Action>) {
    (State::Releasing { then }, vec![Action::Release])
}

fn then_enter(then: Then) -> (State, Vec<Action>) {
    match then {
        Then::Wait(turn) => (State::Waiting { turn }, vec![Action::Acquire]),
        Then::Sleep { until, next } => (
            State::Sleeping { until, next },
            vec![Action::Sleep { until }],
        ),
        Then::StandBack { turn, until } => (
            State::StandingBack { turn, until },
            vec![Action::StandBack { until }],
        ),
        Then::End(ending) => ended(ending),
    }
}

fn ended(ending: Ending) -> (State, Vec<Action>) {
    (
        State::Ended(ending.clone()),
        vec![Action::TellEnded(ending)],
    )
}

impl Rules {
    /// Returns the reason for which runs of this job start.
    pub(crate) const fn cause(&self) -> Cause {
        match &self.schedule {
            Schedule::KeepRunning => Cause::Continuous,
            Schedule::Once => Cause::Once,
            Schedule::Ticks(_) => Cause::Schedule,
        }
    }
}

#[cfg(test)]
mod tests;
