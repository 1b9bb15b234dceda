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
//! A job with ticks takes three more steps, each a word with the store: it looks whether its tick is done
//! already, before it waits for the lock; it claims the tick, under the lock, before the guest runs; and it
//! marks the tick, after the guest has stopped and before the lock is given back.
//!
//! ```text
//!  Sleeping ──due──▶ Looking ──open──▶ Waiting ──acquired──▶ Claiming ──ours──▶ Running ──ended──▶ Marking ──▶ Releasing
//!      ▲                │ done                                  │ somebody's                                    ▲
//!      └────────────────┘                                       └───────────────────────────────────────────────┘
//! ```
//!
//! A run needs more than its lock: a slot, secrets, directories, a clock that agrees with those of other hosts.
//! A lack shows before the lock is had or while it is; either way the job gives back what it has,
//! marks nothing, and stands back until there may be what it lacks. Its tick stays open for other hosts.
//!
//! ```text
//!  Looking, Waiting ──────────────lacks──────────────▶ StandingBack ──ready──▶ Looking, Waiting
//!  Claiming, Pausing, Running ──lacks──▶ Releasing ──▶      ↺ lacks
//! ```
//!
//! One piece of work is under way for a job at any time, and every piece ends in exactly one event.
//! That is why there is nothing to lock and nothing to race.

use std::time::Duration;

use leasehold_lock::BootTime;

use super::clocks::SKEW;
use leasehold_config::wall::UnixMs;
use leasehold_config::{MissedTicks, Restart, Schedule, Ticks};

/// A tick that is woken for this much too late passed while a busy machine did something else, not while
/// it was suspended: the current one is run in its place.
const HICCUP: Duration = Duration::from_secs(1);

/// What the machine needs to know of a job.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) schedule: Schedule,
    pub(crate) restart: Restart,
    pub(crate) retries: u32,
}

/// This moment: pauses are measured on the boot-time clock, ticks come by wall time.
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
    /// The tick that it is for, of a job that has them.
    pub(crate) tick: Option<UnixMs>,
}

/// What a job is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing until the timer; then this turn.
    Sleeping { until: Until, next: Turn },
    /// Whether its tick is done already is being read. A `late` one only counts if it was begun.
    Looking { turn: Turn, late: bool },
    /// Having what the run needs on this host, and then in the queue of its lock.
    Waiting { turn: Turn },
    /// Without lock and queue entry, for want of something on this host. It is looked for again at `until`,
    /// or is a slot, which is waited for.
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
    /// Over.
    Ended(Ending),
}

/// What follows a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Wait(Turn),
    Sleep { until: Until, next: Turn },
    StandBack { turn: Turn, until: Option<BootTime> },
    End(Ending),
}

/// Something that a run needs and does not have on this host now. The sentence is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// As many guests run here as may.
    Slot(String),
    /// A clock that agrees with those of other hosts; it may be set during a pause.
    Clock(String),
    /// A secret, a directory or memory; it may be there after a pause.
    Other(String),
}

impl Lack {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Slot(reason) | Self::Clock(reason) | Self::Other(reason) => reason,
        }
    }

    /// True if it is the same for people: what clocks show in a sentence changes all the time.
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
    /// The guest was never started.
    Lacks(Lack),
}

/// Why there was no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Somebody else had it for longer than we were to wait.
    Contended(String),
    /// Something that may be better in a moment.
    Trouble(String),
    /// The store did not answer.
    Away(String),
    /// The lock was not asked for, or was given back at once.
    Lacks(Lack),
    /// The host asked to stop.
    Cancelled,
}

/// What a look at a tick has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nobody has begun it, or it could not be read.
    Open,
    /// Somebody has begun it, and not finished yet.
    Begun,
    /// It is done, or a later one is begun.
    Over { known: UnixMs, reason: String },
    /// This host is not one to run it now.
    Lacks(Lack),
}

/// What has become of claiming a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// This one is ours to run; it may be a newer one than was asked for.
    Ours { tick: UnixMs, attempt: u32 },
    /// It is done, or a later one is begun.
    Over { known: UnixMs, reason: String },
    /// It has failed, and its next attempt is not due yet.
    NotYet { wait: Duration, reason: String },
    /// This host is not one to run it now.
    Lacks(Lack),
    /// The lock was lost before it was claimed.
    Lost,
    /// Something that may be better in a moment.
    Trouble(String),
}

/// What is written down about the tick of a run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nobody is to run it again.
    Done,
    /// It is to be run again, by whoever has the lock, but not before this.
    Retry { not_before: UnixMs },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The timer of `Sleeping` or `Pausing` is up, or the clock it goes by was set.
    Woke,
    /// The sleep was cut short because the host stops.
    Cancelled,
    Looked(Look),
    /// The resource that was lacking may be had now: it is reserved, but for the lock.
    Ready,
    /// The run that was to come next lacks something, still or again.
    Lacks(Lack),
    Acquired,
    Missed(Missed),
    Claimed(Claim),
    RunEnded(Verdict),
    /// The lock was lost while no guest ran.
    LostWhilePausing,
    /// The tick is marked, or that was given up.
    Marked,
    Released,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sleep until then, or until the wall clock is set, and say `Woke`.
    Sleep { until: Until },
    /// Read what has become of this tick.
    Look { tick: UnixMs },
    /// Have what the run needs on this host, and join the queue.
    Acquire,
    /// Wait for a slot, or until this moment; then have what the run needs on this host.
    StandBack { until: Option<BootTime> },
    /// Claim this tick, or, if nobody has begun it and a newer one is due, that one.
    Claim { tick: UnixMs, newest: UnixMs },
    /// Run the guest under the grant that was just acquired or is still held.
    Run(Turn),
    /// Keep the grant for this long, then say `Woke`.
    Pause(Duration),
    /// Write down what has become of this tick.
    Mark { tick: UnixMs, mark: Mark },
    /// Give the grant back.
    Release,
    /// Tell people that a run is skipped.
    TellSkipped(String),
    /// Tell people that other hosts have to run the job for now.
    TellStandingBack(Lack),
    /// Tell people that the job is tried again after a pause.
    TellBackoff { delay: Duration, reason: String },
    /// Tell people that it is over.
    TellEnded(Ending),
}

/// The longest a run may have failed to count as stable: after that a failure starts over at the
/// first pause. Ten first pauses tell a crash loop from a crash.
const STABLE_PAUSES: u32 = 10;

/// The least time between the starts of two runs under one grant, but for jobs that may fail faster. A guest chooses
/// its pause itself, and each run is a grant's worth of work for the host.
const LEAST_BEAT: Duration = Duration::from_millis(100);

/// Advances a job.
///
/// `failures` counts failures in a row and belongs to the job; `stopping` is whether the host stops;
/// `jitter` is in `0.0..1.0` and spreads pauses and ticks so that hosts do not come back in step.
pub(crate) struct Machine {
    pub(crate) rules: Rules,
    pub(crate) failures: u32,
    pub(crate) stopping: bool,
    /// The latest tick that is no longer this host's business. What comes later is planned by it, so that a
    /// clock that is put back brings nothing twice.
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

    /// Takes one event in.
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
            // An event that its state does not expect is a fault of ours. Ending the job is safe and
            // visible; going on would be neither.
            (state @ State::Ended(_), _) => (state, vec![]),
            (state, event) => ended(Ending::Failed(format!(
                "internal: {event:?} while {state:?}"
            ))),
        }
    }

    /// The first state of a job and what to do about it.
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
            // Of a period the current slot is what a job that has just come begins with.
            MissedTicks::Skip => ticks.beat().is_period(),
            MissedTicks::CatchUp => true,
        };
        if !is_due {
            // It passed unseen; but if somebody began it and did not come to its end, it is finished.
            return look(turn, true);
        }
        let until = newest.after(ticks.jitter().mul_f64(jitter));
        if until > now.wall {
            let until = Until::Wall(until);
            return then_enter(Then::Sleep { until, next: turn });
        }
        look(turn, false)
    }

    /// It is time, or the clock was set.
    fn woke(&mut self, until: Until, turn: Turn, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return (State::Waiting { turn }, vec![Action::Acquire]);
        };
        let Until::Wall(due) = until else {
            if tick > now.wall.after(SKEW) {
                // The clock was put right meanwhile.
                return then_enter(self.plan(now, jitter));
            }
            // After a pause: still the same tick.
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
            // It was not this host's business; what comes next is planned from now on.
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

    /// There is what was lacking, and maybe a newer tick.
    fn ready(&self, turn: Turn, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return (State::Waiting { turn }, vec![Action::Acquire]);
        };
        if tick > now.wall {
            // The clock was set, and it never came.
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

    /// Stands back from a lock that is not held.
    fn lacks(&mut self, turn: Turn, lack: Lack, now: Now, jitter: f64) -> (State, Vec<Action>) {
        let then = self.stand_back(turn, &lack, now, jitter);
        let (state, mut actions) = then_enter(then);
        if !self.stopping {
            actions.insert(0, Action::TellStandingBack(lack));
        }
        (state, actions)
    }

    /// Stands back from a lock that is held: it goes back first, and nothing is marked.
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
            // The clock was put right meanwhile.
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
            // Claimed and not run: it stays for another host to take over.
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
            // The work is unfinished and nobody is to blame: back into the queue.
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
            // Before it could be tried again, the next one is due.
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

    /// Not the guest's failure, so not an attempt of it: the same turn after a pause.
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

    /// The same turn after a pause, without the lock.
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

    /// The next pause: doubles with each failure in a row, and lies in its upper half.
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

    /// Leaves behind what the store knows to be over; but not what a host whose clock is ahead has run.
    fn handle_known(&mut self, tick: Option<UnixMs>, known: UnixMs, now: Now) {
        self.handle(tick, now);
        if known <= now.wall {
            self.handle(Some(known), now);
        }
    }

    /// The next tick that is this host's business. Those that have passed meanwhile are left out, or the
    /// newest of them is caught up with.
    fn plan(&self, now: Now, jitter: f64) -> Then {
        let Schedule::Ticks(ticks) = &self.rules.schedule else {
            return Then::End(Ending::Failed("internal: a tick of a job without".into()));
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
            None => Then::End(Ending::Failed("its last tick has been".into())),
        }
    }

    fn next_tick(&self, ticks: &Ticks, now: Now) -> Option<UnixMs> {
        let handled = self.handled(now);
        let is_new = |tick: &UnixMs| handled.is_none_or(|handled| *tick > handled);
        let first = ticks.beat().first(now.wall).filter(is_new);
        first.or_else(|| handled.and_then(|handled| ticks.beat().next(handled)))
    }

    /// The latest tick that is no longer this host's business. What a clock brought that was far ahead, and has
    /// been put right since, is not that tick.
    fn handled(&self, now: Now) -> Option<UnixMs> {
        self.handled
            .filter(|handled| *handled <= now.wall.after(SKEW))
    }

    /// The clock was set while this tick was waited for: another may come first now.
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
    /// The first attempt at this tick.
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
    /// Why a run of such a job starts.
    pub(crate) const fn cause(&self) -> Cause {
        match &self.schedule {
            Schedule::KeepRunning => Cause::Continuous,
            Schedule::Once => Cause::Once,
            Schedule::Ticks(_) => Cause::Schedule,
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
