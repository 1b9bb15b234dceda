//! The ways into each state, with the work that the state starts.

use leasehold_config::wall::UnixMs;

use super::action::MachineAction;
use super::job_machine::MachineGrant;
use super::state::{JobEnding, JobSleep, MachineState, NextStep, RunTurn, TimeNow};

/// The next state and its actions.
pub(super) type MachineStep<G, P> = (MachineState<P>, Vec<MachineAction<G, P>>);

pub(super) fn sleep<G, P>(sleep: JobSleep) -> MachineStep<G, P> {
    let action = MachineAction::Sleep {
        until: sleep.until,
        unanswered: sleep.unanswered,
    };
    (MachineState::Sleeping(sleep), vec![action])
}

pub(super) fn acquire<G, P>(
    turn: RunTurn,
    provisions: Option<P>,
    now: TimeNow,
) -> MachineStep<G, P> {
    let requested = now.boot;
    let state = MachineState::Waiting { turn, requested };
    (state, vec![MachineAction::Acquire(provisions)])
}

/// Reads the tick, which may be `late`. A job that stood back brings the provisions it got.
pub(super) fn look<G, P>(
    (turn, tick): (RunTurn, UnixMs),
    late: bool,
    provisions: Option<P>,
    detail: String,
) -> MachineStep<G, P> {
    let state = MachineState::Looking {
        turn,
        late,
        provisions,
        detail,
    };
    (state, vec![MachineAction::Look { tick }])
}

pub(super) fn claim<G, P>(
    (grant, provisions): (G, P),
    turn: RunTurn,
    (tick, newest): (UnixMs, UnixMs),
    now: TimeNow,
) -> MachineStep<G, P> {
    let state = MachineState::Claiming {
        turn,
        requested: now.boot,
        provisions,
    };
    let action = MachineAction::Claim {
        grant,
        tick,
        newest,
    };
    (state, vec![action])
}

pub(super) fn run<G: MachineGrant, P>(
    (grant, provisions): (G, P),
    turn: RunTurn,
    now: TimeNow,
) -> MachineStep<G, P> {
    let state = MachineState::Running {
        turn,
        since: now.boot,
        token: grant.token(),
    };
    let action = MachineAction::Run {
        grant,
        provisions,
        turn,
    };
    (state, vec![action])
}

pub(super) fn release<G, P>(grant: G, then: NextStep) -> MachineStep<G, P> {
    let state = MachineState::Releasing { then };
    (state, vec![MachineAction::Release(grant)])
}

/// Enters the state of this next step.
pub(super) fn go_on<G, P>(then: NextStep, now: TimeNow) -> MachineStep<G, P> {
    match then {
        NextStep::Wait(turn) => acquire(turn, None, now),
        NextStep::Sleep(next) => sleep(next),
        NextStep::StandBack {
            turn,
            until,
            reason,
        } => {
            let state = MachineState::StandingBack {
                turn,
                until,
                reason,
            };
            (state, vec![MachineAction::StandBack { until }])
        }
        NextStep::End(ending) => end(ending),
    }
}

pub(super) fn end<G, P>(ending: JobEnding) -> MachineStep<G, P> {
    (
        MachineState::Ended(ending.clone()),
        vec![MachineAction::LogEnded(ending)],
    )
}

/// Returns the reason for skipping a tick that a newer one follows.
pub(super) fn describe_passed(tick: UnixMs) -> String {
    format!("the tick of {tick} passed before it could be started, and the next one is due")
}

/// Returns the reason for skipping a tick that passed while an operator's order held the job.
pub(super) fn describe_held(tick: UnixMs) -> String {
    format!(
        "the tick of {tick} passed while the job was held; with missed = \"skip\" it is finished only if a host had \
         begun it"
    )
}
