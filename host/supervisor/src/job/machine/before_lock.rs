//! Transitions of a job that does not hold its lock: sleeping, looking at a tick, standing back, waiting.

use std::time::Duration;

use leasehold_config::{MissedTicks, Schedule};
use leasehold_lock::BootTime;

use super::action::MachineAction;
use super::entering::{MachineStep, acquire, describe_held, describe_passed, end, go_on, look};
use super::event::{AcquireMiss, TickLook};
use super::job_machine::{JobMachine, sleep_for};
use super::state::{JobEnding, JobSleep, NextStep, RunTurn, TimeNow, WakeTime};
use crate::job::clocks::SKEW;
use crate::job::lack::RunLack;

/// Longest lateness of a wake-up on a busy machine; a later one shows that the machine was suspended. A tick that
/// passed within this time is replaced by the current one.
const HICCUP: Duration = Duration::from_secs(1);

impl<G, P> JobMachine<G, P> {
    /// Handles the end of the sleep, or a change of the wall clock during it.
    pub(super) fn wake(&self, mut sleep: JobSleep, now: TimeNow, jitter: f64) -> MachineStep<G, P> {
        let turn = sleep.next;
        if sleep.unanswered.take().is_some() {
            // The store is queried again, and the last error may be over.
            sleep.detail.clear();
        }
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return acquire(turn, None, now);
        };
        let WakeTime::Wall(due) = sleep.until else {
            if tick > now.wall.after(SKEW) {
                // The clock was set back to the right time meanwhile.
                return go_on(self.plan(sleep.detail, now, jitter), now);
            }
            // The pause is over, and the tick is the same.
            return look((turn, tick), false, None, sleep.detail);
        };
        if now.wall < due {
            let schedule = &self.rules.schedule;
            let then = self.ticks.replan(schedule, (sleep, tick), now, jitter);
            return go_on(then, now);
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        if newest == tick {
            return look((turn, tick), false, None, sleep.detail);
        }
        let late = ticks.missed() == MissedTicks::Skip && now.wall.since(due) > HICCUP;
        let next = (RunTurn::first(newest), newest);
        let (state, mut actions) = look(next, late, None, sleep.detail);
        actions.insert(0, MachineAction::LogSkipped(describe_passed(tick)));
        (state, actions)
    }

    /// Handles the state of the tick that was read without the lock.
    pub(super) fn take_look(
        &mut self,
        (turn, late): (RunTurn, bool),
        provisions: Option<P>,
        detail: String,
        look: TickLook,
        (now, jitter): (TimeNow, f64),
    ) -> MachineStep<G, P> {
        match look {
            // No host has begun it, and a late tick is skipped. The next one is planned from now on.
            TickLook::Open if late => go_on(self.plan(detail, now, jitter), now),
            TickLook::Open | TickLook::Begun => acquire(turn, provisions, now),
            TickLook::Lacks(lack) => self.stand_back(turn, lack, now, jitter),
            TickLook::Over { known, reason } => {
                self.ticks.handle_known(turn.tick, known, now);
                let (state, mut actions) = go_on(self.plan(detail, now, jitter), now);
                if !late {
                    actions.insert(0, MachineAction::LogElsewhere(reason));
                }
                (state, actions)
            }
        }
    }

    /// Goes on after a lack has ended, perhaps with a newer tick.
    pub(super) fn leave_lack(
        &self,
        turn: RunTurn,
        provisions: Option<P>,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return acquire(turn, provisions, now);
        };
        if tick > now.wall {
            // The clock was set back, and this tick is in the future again.
            return go_on(self.plan(String::new(), now, jitter), now);
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        if newest == tick {
            return look((turn, tick), false, provisions, String::new());
        }
        let next = (RunTurn::first(newest), newest);
        let (state, mut actions) = look(next, false, provisions, String::new());
        actions.insert(0, MachineAction::LogSkipped(describe_passed(tick)));
        (state, actions)
    }

    /// Goes on after an order of an operator has ended. Ticks that came meanwhile follow `missed`: a job that skips
    /// them finishes only a tick that a host has begun.
    pub(super) fn leave_hold(&self, turn: RunTurn, now: TimeNow, jitter: f64) -> MachineStep<G, P> {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return acquire(turn, None, now);
        };
        if tick > now.wall || ticks.missed() == MissedTicks::CatchUp {
            return self.leave_lack(turn, None, now, jitter);
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        let turn = if newest == tick {
            turn
        } else {
            RunTurn::first(newest)
        };
        let (state, mut actions) = look((turn, newest), true, None, String::new());
        actions.insert(0, MachineAction::LogSkipped(describe_held(tick)));
        (state, actions)
    }

    /// Stands back without a lock.
    pub(super) fn stand_back(
        &mut self,
        turn: RunTurn,
        lack: RunLack,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        let then = self.plan_lack(turn, &lack, now, jitter);
        let (state, mut actions) = go_on(then, now);
        if !self.stopping {
            actions.insert(0, MachineAction::LogStandingBack(lack));
        }
        (state, actions)
    }

    /// Handles a request for the lock that got no grant. It was sent at `requested`.
    pub(super) fn take_miss(
        &mut self,
        (turn, requested): (RunTurn, BootTime),
        miss: AcquireMiss,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        match miss {
            AcquireMiss::Cancelled => end(JobEnding::Stopped),
            AcquireMiss::Contended(reason) => match &self.rules.schedule {
                Schedule::Once => end(JobEnding::NotAcquired(reason)),
                Schedule::Ticks(_) => {
                    self.ticks.handle(turn.tick, now);
                    let then = self.plan(String::new(), now, jitter);
                    let (state, mut actions) = go_on(self.or_stop(then), now);
                    actions.insert(0, MachineAction::LogSkipped(reason));
                    (state, actions)
                }
                Schedule::KeepRunning => self.try_again(turn, reason, None, (now, jitter)),
            },
            AcquireMiss::Trouble(reason) => self.try_again(turn, reason, None, (now, jitter)),
            AcquireMiss::Unanswered(reason) => {
                self.try_again(turn, reason, Some(requested), (now, jitter))
            }
            AcquireMiss::Lacks(lack) => self.stand_back(turn, lack, now, jitter),
        }
    }

    /// Starts the same turn again after a pause. The guest did not fail, so the attempt is not counted.
    fn try_again(
        &mut self,
        turn: RunTurn,
        reason: String,
        unanswered: Option<BootTime>,
        (now, jitter): (TimeNow, f64),
    ) -> MachineStep<G, P> {
        let delay = self.backoff(jitter);
        let sleep = sleep_for(delay, turn, &reason, now, unanswered);
        let (state, mut actions) = go_on(self.or_stop(NextStep::Sleep(sleep)), now);
        actions.insert(0, MachineAction::LogBackoff { delay, reason });
        (state, actions)
    }
}
