//! The next tick of a job: ticks that have passed are skipped, or the newest of them is caught up with.

use leasehold_config::wall::UnixMs;
use leasehold_config::{MissedTicks, Schedule, Ticks};

use super::state::{JobEnding, JobSleep, NextStep, RunTurn, TimeNow, WakeTime};
use crate::job::clocks::SKEW;

/// Ticks that this host has nothing left to do for.
pub(super) struct TickPlan {
    /// The latest of them. Later ticks are planned after it, so that a clock that is put back brings no tick twice.
    handled: Option<UnixMs>,
}

impl TickPlan {
    pub(super) const fn new() -> Self {
        Self { handled: None }
    }

    pub(super) fn handle(&mut self, tick: Option<UnixMs>, now: TimeNow) {
        self.handled = self.handled(now).max(tick);
    }

    /// Leaves behind ticks that the store shows to be over, except those that a host with a clock ahead of ours has
    /// run.
    pub(super) fn handle_known(&mut self, tick: Option<UnixMs>, known: UnixMs, now: TimeNow) {
        self.handle(tick, now);
        if known <= now.wall {
            self.handle(Some(known), now);
        }
    }

    /// Plans the next tick for this host. `detail` is the reason of the job's last failure.
    pub(super) fn plan(
        &self,
        schedule: &Schedule,
        detail: String,
        now: TimeNow,
        jitter: f64,
    ) -> NextStep {
        let Schedule::Ticks(ticks) = schedule else {
            let reason = "internal: a tick without a schedule".into();
            return NextStep::End(JobEnding::Failed(reason));
        };
        let handled = self.handled(now);
        let is_new = |tick: &UnixMs| handled.is_none_or(|handled| *tick > handled);
        let newest = match ticks.missed() {
            MissedTicks::Skip => None,
            MissedTicks::CatchUp => ticks.beat().newest(now.wall).filter(is_new),
        };
        match newest.or_else(|| self.next_tick(ticks, now)) {
            Some(tick) => {
                let delay = ticks.jitter().mul_f64(jitter.clamp(0.0, 1.0));
                let until = WakeTime::Wall(tick.after(delay));
                NextStep::Sleep(JobSleep {
                    detail,
                    ..JobSleep::new(until, RunTurn::first(tick))
                })
            }
            None => NextStep::End(JobEnding::Failed("its schedule has no further tick".into())),
        }
    }

    /// Plans again after the clock was set while the tick of this sleep was waited for: another tick may come first
    /// now.
    pub(super) fn replan(
        &self,
        schedule: &Schedule,
        (same, tick): (JobSleep, UnixMs),
        now: TimeNow,
        jitter: f64,
    ) -> NextStep {
        match self.plan(schedule, same.detail.clone(), now, jitter) {
            NextStep::Sleep(sleep) if sleep.next == RunTurn::first(tick) || now.wall >= tick => {
                NextStep::Sleep(JobSleep {
                    next: RunTurn::first(tick),
                    ..same
                })
            }
            plan => plan,
        }
    }

    fn next_tick(&self, ticks: &Ticks, now: TimeNow) -> Option<UnixMs> {
        let handled = self.handled(now);
        let is_new = |tick: &UnixMs| handled.is_none_or(|handled| *tick > handled);
        let first = ticks.beat().first(now.wall).filter(is_new);
        first.or_else(|| handled.and_then(|handled| ticks.beat().next(handled)))
    }

    /// Returns the latest tick that this host has nothing left to do for. A tick that came while the clock was far
    /// ahead does not count once the clock has been set right.
    fn handled(&self, now: TimeNow) -> Option<UnixMs> {
        self.handled
            .filter(|handled| *handled <= now.wall.after(SKEW))
    }
}
