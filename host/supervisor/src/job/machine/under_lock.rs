//! Transitions of a job that holds its lock: claiming a tick, running, pausing, marking the tick.

use std::time::Duration;

use leasehold_config::Schedule;
use leasehold_config::wall::UnixMs;
use leasehold_lock::BootTime;
use leasehold_records::{Outcome, StopKind};

use super::action::MachineAction;
use super::entering::{MachineStep, claim, describe_passed, release, run};
use super::event::{PauseEnd, RunVerdict, TickClaim, TickMark};
use super::job_machine::{JobMachine, MachineGrant, sleep_for};
use super::state::{JobEnding, JobSleep, MachineState, NextStep, RunTurn, TimeNow, WakeTime};
use crate::job::clocks::SKEW;
use crate::job::lack::RunLack;

/// Run time, in first pauses, after which a failed run counts as stable: the next pause is then the first one
/// again. Ten first pauses separate a crash loop from a crash.
const STABLE_PAUSES: u32 = 10;

/// Shortest time between the starts of two runs under one grant; a job whose first pause is shorter may use that. A
/// guest chooses its pause itself, and each run costs the host as much as a grant.
const LEAST_BEAT: Duration = Duration::from_millis(100);

/// A run that has ended, with the grant that is still held.
pub(super) struct EndedRun<G> {
    pub(super) grant: G,
    pub(super) turn: RunTurn,
    pub(super) since: BootTime,
    pub(super) outcome: Outcome,
}

impl<G: MachineGrant, P> JobMachine<G, P> {
    /// Handles the grant: runs the guest, or first claims its tick.
    pub(super) fn use_grant(
        &self,
        (grant, provisions): (G, P),
        turn: RunTurn,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return run((grant, provisions), turn, now);
        };
        if tick > now.wall.after(SKEW) {
            // The clock was set back to the right time meanwhile.
            return release(grant, self.plan(String::new(), now, jitter));
        }
        let newest = ticks.beat().newest(now.wall).unwrap_or(tick).max(tick);
        claim((grant, provisions), turn, (tick, newest), now)
    }

    /// Handles the answer to a claim. It was requested at `requested`.
    pub(super) fn take_claim(
        &mut self,
        (grant, provisions): (G, P),
        (turn, requested): (RunTurn, BootTime),
        claim: TickClaim,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        match claim {
            // The claimed tick is not run here; another host takes it over.
            TickClaim::Ours { .. } if self.stopping => {
                release(grant, NextStep::End(JobEnding::Stopped))
            }
            TickClaim::Ours { tick, attempt } => {
                let asked = turn.tick.unwrap_or(tick);
                let turn = RunTurn {
                    attempt,
                    tick: Some(tick),
                };
                let (state, mut actions) = run((grant, provisions), turn, now);
                if tick > asked {
                    actions.insert(0, MachineAction::LogSkipped(describe_passed(asked)));
                }
                (state, actions)
            }
            TickClaim::Over { known, reason } => {
                self.ticks.handle_known(turn.tick, known, now);
                let then = self.plan(String::new(), now, jitter);
                let (state, mut actions) = release(grant, self.or_stop(then));
                actions.push(MachineAction::LogElsewhere(reason));
                (state, actions)
            }
            TickClaim::NotYet { wait, reason } => {
                let delay = wait.min(self.rules.restart.max());
                let sleep = sleep_for(delay, turn, &reason, now, None);
                self.release_and_sleep(grant, sleep, delay, reason)
            }
            TickClaim::Lacks(lack) => self.release_and_stand_back(grant, turn, lack, (now, jitter)),
            TickClaim::Lost => release(grant, self.or_stop(NextStep::Wait(turn))),
            TickClaim::Trouble(reason) => {
                let delay = self.backoff(jitter);
                let sleep = sleep_for(delay, turn, &reason, now, Some(requested));
                self.release_and_sleep(grant, sleep, delay, reason)
            }
        }
    }

    /// Handles the end of a run.
    pub(super) fn end_run(
        &mut self,
        ended: EndedRun<G>,
        verdict: RunVerdict,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        let (turn, lasted) = (ended.turn, now.boot.since(ended.since));
        let stable = self.rules.restart.min() * STABLE_PAUSES;
        if matches!(verdict, RunVerdict::Done | RunVerdict::Again(_)) || lasted > stable {
            self.failures = 0;
        }
        match verdict {
            RunVerdict::Again(pause) if !self.stopping => {
                let least = LEAST_BEAT.min(self.rules.restart.min());
                let pause = pause.max(least.saturating_sub(lasted));
                let grant = ended.grant;
                let state = MachineState::Pausing {
                    turn: RunTurn { attempt: 1, ..turn },
                    token: grant.token(),
                };
                (state, vec![MachineAction::Pause { grant, pause }])
            }
            // The tick stays begun, for another host to take over.
            RunVerdict::Stopped | RunVerdict::Again(_) => {
                release(ended.grant, NextStep::End(JobEnding::Stopped))
            }
            RunVerdict::Done => match &self.rules.schedule {
                Schedule::Once => release(ended.grant, NextStep::End(JobEnding::Finished)),
                Schedule::Ticks(_) => self.mark_done(ended, String::new(), now, jitter),
                Schedule::KeepRunning => {
                    let until = WakeTime::Boot(now.boot.after(self.rules.restart.min()));
                    let next = RunTurn { attempt: 1, ..turn };
                    release(ended.grant, NextStep::Sleep(JobSleep::new(until, next)))
                }
            },
            // The work is unfinished, and the guest did not fail: it waits in the queue again.
            RunVerdict::Lost => {
                let attempt = turn.attempt + 1;
                let again = RunTurn { attempt, ..turn };
                release(ended.grant, self.or_stop(NextStep::Wait(again)))
            }
            // The tick stays begun, for another host to take over.
            RunVerdict::Lacks(lack) => {
                self.release_and_stand_back(ended.grant, turn, lack, (now, jitter))
            }
            RunVerdict::Fatal(reason) => {
                let then = NextStep::End(JobEnding::Failed(reason));
                mark(ended, TickMark::Done, then)
            }
            RunVerdict::Failed(reason) => self.retry_run(ended, reason, now, jitter),
            RunVerdict::Halted(kind, reason) => self.halt(ended, kind, reason, (now, jitter)),
        }
    }

    /// Ends a run that an operator requested to end. It did not fail, and is not retried.
    fn halt(
        &mut self,
        ended: EndedRun<G>,
        kind: StopKind,
        reason: String,
        (now, jitter): (TimeNow, f64),
    ) -> MachineStep<G, P> {
        let turn = ended.turn;
        match (kind, &self.rules.schedule) {
            (StopKind::Restart, Schedule::Ticks(_)) => {
                let attempt = turn.attempt + 1;
                let then = self.or_stop(NextStep::Wait(RunTurn { attempt, ..turn }));
                let not_before = now.wall;
                mark(ended, TickMark::Retry { not_before }, then)
            }
            (StopKind::Restart, Schedule::Once | Schedule::KeepRunning) => {
                release(ended.grant, self.or_stop(NextStep::Wait(turn)))
            }
            (StopKind::Stop, Schedule::Ticks(_)) => self.mark_done(ended, reason, now, jitter),
            (StopKind::Stop, Schedule::Once) => {
                release(ended.grant, NextStep::End(JobEnding::Failed(reason)))
            }
            (StopKind::Stop, Schedule::KeepRunning) => {
                let next = RunTurn { attempt: 1, ..turn };
                let sleep = sleep_for(self.rules.restart.min(), next, &reason, now, None);
                release(ended.grant, NextStep::Sleep(sleep))
            }
        }
    }

    /// Runs the guest again after a pause, or gives the lock back.
    pub(super) fn end_pause(
        &mut self,
        grant: G,
        turn: RunTurn,
        end: PauseEnd<P>,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        match end {
            PauseEnd::Over(provisions) if !self.stopping => run((grant, provisions), turn, now),
            PauseEnd::Over(_) | PauseEnd::Cancelled => {
                release(grant, NextStep::End(JobEnding::Stopped))
            }
            PauseEnd::Lacks(lack) => self.release_and_stand_back(grant, turn, lack, (now, jitter)),
            PauseEnd::Lost => release(grant, self.or_stop(NextStep::Wait(turn))),
            PauseEnd::Halted(kind, reason) => {
                let ended = EndedRun {
                    grant,
                    turn,
                    since: now.boot,
                    outcome: Outcome::Stopped,
                };
                self.halt(ended, kind, reason, (now, jitter))
            }
        }
    }

    /// Plans the next attempt of a run that failed, if it may have one.
    fn retry_run(
        &mut self,
        ended: EndedRun<G>,
        reason: String,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        let turn = ended.turn;
        let may_retry = match &self.rules.schedule {
            Schedule::KeepRunning => true,
            Schedule::Once | Schedule::Ticks(_) => turn.attempt <= self.rules.retries,
        };
        match &self.rules.schedule {
            Schedule::Once if !may_retry => {
                return release(ended.grant, NextStep::End(JobEnding::Failed(reason)));
            }
            Schedule::Ticks(_) if !may_retry => return self.mark_done(ended, reason, now, jitter),
            _ => {}
        }
        let delay = self.backoff(jitter);
        let not_before = now.wall.after(delay);
        if self.is_next_due(turn, not_before) {
            // The next tick is due before this one could be retried.
            return self.mark_done(ended, reason, now, jitter);
        }
        let attempt = turn.attempt + 1;
        let sleep = sleep_for(delay, RunTurn { attempt, ..turn }, &reason, now, None);
        let then = self.or_stop(NextStep::Sleep(sleep));
        let (state, mut actions) = mark(ended, TickMark::Retry { not_before }, then);
        actions.push(MachineAction::LogBackoff { delay, reason });
        (state, actions)
    }

    /// True if the tick after that of this turn is due at that time.
    fn is_next_due(&self, turn: RunTurn, time: UnixMs) -> bool {
        let (Some(tick), Schedule::Ticks(ticks)) = (turn.tick, &self.rules.schedule) else {
            return false;
        };
        ticks.beat().next(tick).is_some_and(|next| next <= time)
    }

    /// Marks the tick as done and plans the next one. `detail` is the reason why its run failed, if it did.
    fn mark_done(
        &mut self,
        ended: EndedRun<G>,
        detail: String,
        now: TimeNow,
        jitter: f64,
    ) -> MachineStep<G, P> {
        self.ticks.handle(ended.turn.tick, now);
        let then = self.plan(detail, now, jitter);
        mark(ended, TickMark::Done, then)
    }

    /// Stands back under a lock: releases it first, and marks nothing.
    fn release_and_stand_back(
        &mut self,
        grant: G,
        turn: RunTurn,
        lack: RunLack,
        (now, jitter): (TimeNow, f64),
    ) -> MachineStep<G, P> {
        let then = self.plan_lack(turn, &lack, now, jitter);
        let (state, mut actions) = release(grant, then);
        if !self.stopping {
            actions.push(MachineAction::LogStandingBack(lack));
        }
        (state, actions)
    }

    /// Releases the lock, and starts the turn again after a pause.
    fn release_and_sleep(
        &self,
        grant: G,
        sleep: JobSleep,
        delay: Duration,
        reason: String,
    ) -> MachineStep<G, P> {
        let (state, mut actions) = release(grant, self.or_stop(NextStep::Sleep(sleep)));
        actions.push(MachineAction::LogBackoff { delay, reason });
        (state, actions)
    }
}

/// Marks the tick, if there is one, and then releases.
fn mark<G, P>(ended: EndedRun<G>, mark: TickMark, then: NextStep) -> MachineStep<G, P> {
    let EndedRun {
        grant,
        turn,
        outcome,
        ..
    } = ended;
    let Some(tick) = turn.tick else {
        return release(grant, then);
    };
    let action = MachineAction::Mark {
        grant,
        tick,
        mark,
        outcome,
    };
    (MachineState::Marking { then }, vec![action])
}
