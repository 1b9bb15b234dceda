//! The machine's two entry points: the first state of a job, and one step.

use std::fmt;

use leasehold_config::{MissedTicks, Schedule};

use super::entering::{MachineStep, acquire, end, go_on, look, release};
use super::event::MachineEvent as Event;
use super::job_machine::{JobMachine, MachineGrant};
use super::state::{
    JobEnding, JobSleep, LackEnd, MachineState as State, NextStep, RunTurn, TimeNow, WakeTime,
};
use super::under_lock::EndedRun;

impl<G: MachineGrant, P: fmt::Debug> JobMachine<G, P> {
    /// Applies one event. `jitter` is in `0.0..1.0` and spreads pauses and ticks, so that hosts do not come back in
    /// step.
    pub(crate) fn step(
        &mut self,
        state: State<P>,
        event: Event<G, P>,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        match (state, event) {
            (State::Sleeping(sleep), Event::Woke) if !self.stopping => {
                self.wake(sleep, now, jitter)
            }
            (State::Sleeping(sleep), Event::StoreBack) if !self.stopping => {
                // The store's outage is over, and does not count as the job's failure.
                self.failures = 0;
                self.wake(sleep, now, jitter)
            }
            (
                State::Looking {
                    turn,
                    late,
                    provisions,
                    detail,
                },
                Event::Looked(look),
            ) if !self.stopping => {
                self.take_look((turn, late), provisions, detail, look, (now, jitter))
            }
            (State::StandingBack { turn, .. }, Event::Ready(provisions)) if !self.stopping => {
                self.leave_lack(turn, provisions, now, jitter)
            }
            (State::StandingBack { turn, .. }, Event::Lacks(lack)) => {
                self.stand_back(turn, lack, now, jitter)
            }
            (
                State::StandingBack {
                    turn,
                    until: LackEnd::Hold,
                    ..
                },
                Event::HoldEnded,
            ) if !self.stopping => self.leave_hold(turn, now, jitter),
            (State::Waiting { turn, requested }, Event::Missed(miss)) => {
                self.take_miss((turn, requested), miss, now, jitter)
            }
            (State::Waiting { .. }, Event::Acquired { grant, .. }) if self.stopping => {
                release(grant, NextStep::End(JobEnding::Stopped))
            }
            (State::Waiting { turn, .. }, Event::Acquired { grant, provisions }) => {
                self.use_grant((grant, provisions), turn, now, jitter)
            }
            (state, event) => self.step_under_lock(state, event, now, jitter),
        }
    }

    /// Applies one event to a job that holds its lock, or that is giving it back.
    fn step_under_lock(
        &mut self,
        state: State<P>,
        event: Event<G, P>,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        match (state, event) {
            (
                State::Claiming {
                    turn,
                    requested,
                    provisions,
                },
                Event::Claimed { grant, claim },
            ) => self.take_claim((grant, provisions), (turn, requested), claim, now, jitter),
            (
                State::Running { turn, since, .. },
                Event::RunEnded {
                    grant,
                    verdict,
                    outcome,
                },
            ) => {
                let ended = EndedRun {
                    grant,
                    turn,
                    since,
                    outcome,
                };
                self.end_run(ended, verdict, now, jitter)
            }
            (State::Pausing { turn, .. }, Event::PauseEnded { grant, end }) => {
                self.end_pause(grant, turn, end, now, jitter)
            }
            (State::Marking { then }, Event::Marked { grant }) => {
                release(grant, self.or_stop(then))
            }
            (State::Releasing { then }, Event::Released) => go_on(self.or_stop(then), now),
            (state, event) => give_up(state, &event),
        }
    }

    /// Returns the first state of a job and its actions.
    pub(crate) fn start(&mut self, now: TimeNow, jitter: f64) -> MachineStep<G, P> {
        let Schedule::Ticks(ticks) = &self.rules.schedule else {
            let turn = RunTurn {
                attempt: 1,
                tick: None,
            };
            return acquire(turn, None, now);
        };
        let Some(newest) = ticks.beat().newest(now.wall) else {
            return go_on(self.plan(String::new(), now, jitter), now);
        };
        let turn = RunTurn::first(newest);
        let is_due = match ticks.missed() {
            // A job that starts runs the current slot of its period.
            MissedTicks::Skip => ticks.beat().is_period(),
            MissedTicks::CatchUp => true,
        };
        if !is_due {
            // The tick passed before the job started. If a host began it and did not finish it, it is run now.
            return look((turn, newest), true, None, String::new());
        }
        let until = newest.after(ticks.jitter().mul_f64(jitter));
        if until > now.wall {
            let sleep = JobSleep::new(WakeTime::Wall(until), turn);
            return go_on(NextStep::Sleep(sleep), now);
        }
        look((turn, newest), false, None, String::new())
    }
}

/// Ends a job whose work was cut short, or to which an event came that its state does not expect. A grant of the
/// event is dropped, which gives the lock back.
fn give_up<G: fmt::Debug, P: fmt::Debug>(
    state: State<P>,
    event: &Event<G, P>,
) -> MachineStep<G, P> {
    match state {
        State::Sleeping(_)
        | State::Looking { .. }
        | State::Waiting { .. }
        | State::StandingBack { .. } => end(JobEnding::Stopped),
        State::Ended(_) => (state, vec![]),
        // An event that its state does not expect is an internal error. Ending the job is safe and visible; going
        // on would be neither.
        State::Claiming { .. }
        | State::Running { .. }
        | State::Pausing { .. }
        | State::Marking { .. }
        | State::Releasing { .. } => end(JobEnding::Failed(format!(
            "internal: {event:?} while {state:?}"
        ))),
    }
}
