//! Behaviour of the job machine, event by event. Wall time and boot time agree here unless a test sets them apart.

use std::path::Path;

use std::sync::Arc;
use std::time::Duration;

use leasehold_config::Config;
use leasehold_config::wall::UnixMs;
use leasehold_lock::{BootTime, Token};
use leasehold_records::{Outcome, StopKind};

use super::*;
use crate::event::SkipCause;
use crate::job::clocks::SKEW;
use crate::job::lack::RunLack;

type Machine = JobMachine<(), ()>;
type State = MachineState<()>;
type Event = MachineEvent<(), ()>;
type Action = MachineAction<(), ()>;

const ACQUIRED: Event = Event::Acquired {
    grant: (),
    provisions: (),
};
const MARKED: Event = Event::Marked { grant: () };
const ACQUIRE: Action = Action::Acquire(None);
const RELEASE: Action = Action::Release(());

fn claimed(claim: TickClaim) -> Event {
    Event::Claimed { grant: (), claim }
}

fn run_ended(verdict: RunVerdict) -> Event {
    Event::RunEnded {
        grant: (),
        verdict,
        outcome: Outcome::Done,
    }
}

fn pause_ended(end: PauseEnd<()>) -> Event {
    Event::PauseEnded { grant: (), end }
}

fn sleep_action(until: WakeTime) -> Action {
    let unanswered = None;
    Action::Sleep { until, unanswered }
}

fn claim_action(tick: UnixMs, newest: UnixMs) -> Action {
    let grant = ();
    Action::Claim {
        grant,
        tick,
        newest,
    }
}

fn run_action(turn: RunTurn) -> Action {
    Action::Run {
        grant: (),
        provisions: (),
        turn,
    }
}

fn pause_action(pause: Duration) -> Action {
    Action::Pause { grant: (), pause }
}

fn mark_action(tick: UnixMs, mark: TickMark) -> Action {
    Action::Mark {
        grant: (),
        tick,
        mark,
        outcome: Outcome::Done,
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn machine(job: &str) -> Machine {
    let text = format!(
        "[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.j]\nplugin = \"x.wasm\"\n{job}"
    );
    let config = Config::parse(&text, Path::new("test.toml")).expect("a valid job");
    let job = &config.jobs()[0];
    Machine::new(JobRules {
        schedule: job.schedule().clone(),
        restart: job.restart(),
        retries: job.retries(),
    })
}

fn at(seconds: u64) -> TimeNow {
    TimeNow {
        boot: BootTime::from_nanos(seconds * 1_000_000_000),
        wall: second(seconds),
    }
}

fn second(seconds: u64) -> UnixMs {
    UnixMs::new(seconds * 1000)
}

fn attempt(attempt: u32, tick: u64) -> RunTurn {
    RunTurn {
        attempt,
        tick: Some(second(tick)),
    }
}

/// Brings a job that was just started to its lock.
fn to_the_lock(machine: &mut Machine, start: u64) -> State {
    let (state, actions) = machine.start(at(start), 0.0);
    match &actions[..] {
        [ACQUIRE] => state,
        [Action::Look { .. }] => {
            let (state, actions) =
                machine.step(state, Event::Looked(TickLook::Open), at(start), 0.0);
            assert_eq!(actions, [ACQUIRE]);
            state
        }
        other => panic!("{other:?}"),
    }
}

/// Brings a job that has its lock to its run; a tick is claimed as requested.
fn to_the_run(machine: &mut Machine, state: State, now: u64) -> State {
    let (state, actions) = machine.step(state, ACQUIRED, at(now), 1.0);
    let [Action::Claim { newest, .. }] = actions[..] else {
        return state;
    };
    let ours = TickClaim::Ours {
        tick: newest,
        attempt: 1,
    };
    machine.step(state, claimed(ours), at(now), 1.0).0
}

/// Starts the job at 100 s and brings it to a run that ends at `end` with `verdict`.
fn run(machine: &mut Machine, end: u64, verdict: RunVerdict) -> (State, Vec<Action>) {
    let state = to_the_lock(machine, 100);
    let state = to_the_run(machine, state, 100);
    machine.step(state, run_ended(verdict), at(end), 1.0)
}

/// Gives the lock back; a tick, if there is one, is marked first.
fn released(machine: &mut Machine, state: State, now: u64) -> (State, Vec<Action>) {
    let state = match state {
        State::Marking { .. } => {
            let (state, actions) = machine.step(state, MARKED, at(now), 0.0);
            assert_eq!(actions, [RELEASE]);
            state
        }
        state => state,
    };
    machine.step(state, Event::Released, at(now), 0.0)
}

/// Promise P1. Fails on a machine that releases before the run has ended.
#[test]
fn the_lock_is_given_back_only_after_the_run_has_ended() {
    for schedule in ["once = true", "every = \"10s\""] {
        for verdict in [
            RunVerdict::Done,
            RunVerdict::Failed("x".into()),
            RunVerdict::Fatal("x".into()),
            RunVerdict::Lost,
            RunVerdict::Stopped,
        ] {
            let mut machine = machine(schedule);
            let state = to_the_lock(&mut machine, 1);
            let state = to_the_run(&mut machine, state, 1);
            assert!(matches!(state, State::Running { .. }), "{state:?}");
            let (state, mut actions) = machine.step(state, run_ended(verdict), at(2), 1.0);
            if let State::Marking { .. } = state {
                assert!(!actions.contains(&RELEASE));
                actions = machine.step(state, MARKED, at(2), 1.0).1;
            } else {
                assert!(matches!(state, State::Releasing { .. }));
            }
            assert!(actions.contains(&RELEASE));
        }
    }
}

#[test]
fn a_once_job_finishes_and_ends() {
    let mut machine = machine("once = true");
    let (state, _) = run(&mut machine, 101, RunVerdict::Done);
    let (state, actions) = released(&mut machine, state, 101);
    assert_eq!(state, State::Ended(JobEnding::Finished));
    assert_eq!(actions, [Action::LogEnded(JobEnding::Finished)]);
}

#[test]
fn a_lost_run_goes_straight_back_into_the_queue() {
    for schedule in ["once = true", "every = \"10s\""] {
        let mut machine = machine(schedule);
        let (state, _) = run(&mut machine, 101, RunVerdict::Lost);
        let (state, actions) = released(&mut machine, state, 101);
        assert_eq!(actions, [ACQUIRE]);
        assert!(matches!(state, State::Waiting { turn, .. } if turn.attempt == 2));
    }
}

#[test]
fn a_failed_once_job_is_tried_again_as_often_as_it_may() {
    let mut machine = machine("once = true\nretries = 1");
    let (state, actions) = run(&mut machine, 101, RunVerdict::Failed("no".into()));
    assert!(matches!(&actions[1], Action::LogBackoff { delay, .. } if *delay == SECOND));
    let (state, _) = released(&mut machine, state, 101);
    let (state, _) = machine.step(state, Event::Woke, at(102), 1.0);
    let (state, _) = machine.step(state, ACQUIRED, at(102), 1.0);
    let failed = run_ended(RunVerdict::Failed("still no".into()));
    let (state, _) = machine.step(state, failed, at(103), 1.0);
    let (state, _) = released(&mut machine, state, 103);
    assert_eq!(state, State::Ended(JobEnding::Failed("still no".into())));
}

#[test]
fn pauses_double_until_a_stable_run() {
    let mut machine = machine("restart = { min = \"1s\", max = \"5s\" }");
    let mut delays = vec![];
    for end in [101, 101, 101, 101, 150] {
        let (_, actions) = run(&mut machine, end, RunVerdict::Failed("x".into()));
        let Some(Action::LogBackoff { delay, .. }) = actions.last() else {
            panic!("no pause in {actions:?}");
        };
        delays.push(delay.as_secs());
    }
    assert_eq!(delays, [1, 2, 4, 5, 1]);
}

#[test]
fn an_every_job_keeps_its_beat_and_leaves_out_what_has_passed() {
    let mut machine = machine("every = \"10s\"");
    let (state, actions) = run(&mut machine, 125, RunVerdict::Done);
    let (tick, mark) = (second(100), TickMark::Done);
    assert_eq!(actions, [mark_action(tick, mark)]);
    let (state, _) = released(&mut machine, state, 125);
    let until = WakeTime::Wall(second(130));
    let next = attempt(1, 130);
    assert_eq!(state, State::Sleeping(JobSleep::new(until, next)));
}

#[test]
fn a_tick_that_is_due_when_a_run_ends_has_not_passed() {
    let mut machine = machine("every = \"10s\"");
    let (state, _) = run(&mut machine, 120, RunVerdict::Done);
    let (state, _) = released(&mut machine, state, 120);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 120)));
}

#[test]
fn overrun_with_catch_up_is_followed_by_the_newest_tick_at_once() {
    let mut machine = machine("every = \"10s\"\nmissed = \"catch-up\"");
    let (state, _) = run(&mut machine, 135, RunVerdict::Done);
    let (state, actions) = released(&mut machine, state, 135);
    // Only the newest of those that passed is run.
    let until = WakeTime::Wall(second(130));
    assert_eq!(actions, [sleep_action(until)]);
    let (state, _) = machine.step(state, Event::Woke, at(135), 0.0);
    assert!(matches!(state, State::Looking { turn, late: false, .. } if turn == attempt(1, 130)));
    let (state, _) = machine.step(state, Event::Looked(TickLook::Open), at(135), 0.0);
    let state = to_the_run(&mut machine, state, 135);
    let (state, _) = machine.step(state, run_ended(RunVerdict::Done), at(136), 0.0);
    let (state, _) = released(&mut machine, state, 136);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 140)));
}

#[test]
fn missed_lock_is_logged_and_the_next_tick_is_waited_for() {
    for missed in ["skip", "catch-up"] {
        let mut machine = machine(&format!(
            "every = \"10s\"\nwait = \"never\"\nmissed = \"{missed}\""
        ));
        let state = to_the_lock(&mut machine, 100);
        let contended = Event::Missed(AcquireMiss::Contended("held".into()));
        let (state, actions) = machine.step(state, contended, at(100), 0.0);
        assert_eq!(
            actions[0],
            Action::LogSkipped(SkipCause::Contended, "held".into())
        );
        assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 110)));
    }
}

#[test]
fn starting_host_runs_its_period_but_no_passed_cron_tick() {
    let mut every = machine("every = \"1h\"");
    let (state, _) = every.start(at(5000), 0.0);
    assert!(matches!(state, State::Looking { turn, late: false, .. } if turn == attempt(1, 3600)));

    let mut skip = machine("cron = \"0 * * * *\"");
    let (state, _) = skip.start(at(5000), 0.0);
    assert!(matches!(state, State::Looking { turn, late: true, .. } if turn == attempt(1, 3600)));
    let (state, actions) = skip.step(state, Event::Looked(TickLook::Open), at(5000), 0.0);
    let until = WakeTime::Wall(second(7200));
    assert_eq!(actions, [sleep_action(until)]);
    assert!(matches!(state, State::Sleeping(_)));

    let mut catch_up = machine("cron = \"0 * * * *\"\nmissed = \"catch-up\"");
    let (state, _) = catch_up.start(at(5000), 0.0);
    assert!(matches!(state, State::Looking { turn, late: false, .. } if turn == attempt(1, 3600)));
}

/// Its host died in the middle of the tick, and this one starts. The tick was not missed but cut off, so the
/// setting for missed ticks does not apply.
#[test]
fn a_tick_that_was_begun_is_finished_by_a_host_that_starts() {
    let mut machine = machine("cron = \"0 * * * *\"");
    let (state, _) = machine.start(at(5000), 0.0);
    let (state, actions) = machine.step(state, Event::Looked(TickLook::Begun), at(5000), 0.0);
    assert_eq!(actions, [ACQUIRE]);
    let (_, actions) = machine.step(state, ACQUIRED, at(5000), 0.0);
    let (tick, newest) = (second(3600), second(3600));
    assert_eq!(actions, [claim_action(tick, newest)]);
}

#[test]
fn tick_run_elsewhere_is_skipped_without_the_lock() {
    let mut machine = machine("every = \"10s\"");
    let (state, _) = machine.start(at(101), 0.0);
    let over = TickLook::Over {
        known: second(100),
        reason: "run by b".into(),
    };
    let (state, actions) = machine.step(state, Event::Looked(over), at(101), 0.0);
    let until = WakeTime::Wall(second(110));
    let logged = Action::LogSkipped(SkipCause::AlreadyRun, "run by b".into());
    assert_eq!(actions, [logged, sleep_action(until)]);
    assert!(matches!(state, State::Sleeping(_)));
}

#[test]
fn tick_run_meanwhile_is_skipped_and_the_lock_given_back() {
    let mut machine = machine("every = \"10s\"");
    let state = to_the_lock(&mut machine, 100);
    let (state, _) = machine.step(state, ACQUIRED, at(125), 0.0);
    let over = TickClaim::Over {
        known: second(100),
        reason: "run by b".into(),
    };
    let (state, actions) = machine.step(state, claimed(over), at(125), 0.0);
    let logged = Action::LogSkipped(SkipCause::AlreadyRun, "run by b".into());
    assert_eq!(actions, [RELEASE, logged]);
    // Ticks that passed while the other host ran are skipped here as they are there.
    let (state, _) = released(&mut machine, state, 125);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 130)));
}

#[test]
fn waiter_past_the_next_tick_runs_the_newest() {
    let mut machine = machine("every = \"10s\"");
    let state = to_the_lock(&mut machine, 100);
    let (state, actions) = machine.step(state, ACQUIRED, at(125), 0.0);
    let (tick, newest) = (second(100), second(120));
    assert_eq!(actions, [claim_action(tick, newest)]);
    let ours = TickClaim::Ours {
        tick: newest,
        attempt: 1,
    };
    let (_, actions) = machine.step(state, claimed(ours), at(125), 0.0);
    assert!(
        matches!(&actions[0], Action::LogSkipped(SkipCause::Missed, logged) if logged.contains("00:01:40Z"))
    );
    assert_eq!(actions[1], run_action(attempt(1, 120)));
}

#[test]
fn a_retry_stays_within_its_tick_and_ends_when_the_next_is_due() {
    let mut machine =
        machine("every = \"10s\"\nretries = 9\nrestart = { min = \"4s\", max = \"4s\" }");
    let (state, actions) = run(&mut machine, 101, RunVerdict::Failed("no".into()));
    let mark = TickMark::Retry {
        not_before: second(105),
    };
    let tick = second(100);
    assert_eq!(actions[0], mark_action(tick, mark));
    let (state, _) = released(&mut machine, state, 101);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(2, 100)));
    let (state, _) = machine.step(state, Event::Woke, at(105), 0.0);
    let (state, _) = machine.step(state, Event::Looked(TickLook::Begun), at(105), 0.0);
    let (state, _) = machine.step(state, ACQUIRED, at(105), 0.0);
    let ours = TickClaim::Ours { tick, attempt: 2 };
    let (state, actions) = machine.step(state, claimed(ours), at(105), 0.0);
    assert_eq!(actions, [run_action(attempt(2, 100))]);
    let failed = run_ended(RunVerdict::Failed("still no".into()));
    let (_, actions) = machine.step(state, failed, at(107), 1.0);
    let mark = TickMark::Done;
    assert_eq!(actions, [mark_action(tick, mark)]);
}

#[test]
fn a_retry_that_is_not_due_is_waited_for_without_the_lock() {
    let mut machine = machine("every = \"1h\"\nrestart = { min = \"1s\", max = \"20s\" }");
    let state = to_the_lock(&mut machine, 3600);
    let (state, _) = machine.step(state, ACQUIRED, at(3601), 0.0);
    // The clock of the other host may show any time: no host waits longer than the job's longest pause.
    let not_yet = TickClaim::NotYet {
        wait: Duration::from_secs(500),
        reason: "failed on b".into(),
    };
    let (state, actions) = machine.step(state, claimed(not_yet), at(3601), 0.0);
    assert_eq!(actions[0], RELEASE);
    let (state, _) = released(&mut machine, state, 3601);
    let until = WakeTime::Boot(at(3621).boot);
    let next = attempt(1, 3600);
    let asleep = JobSleep {
        detail: "failed on b".into(),
        ..JobSleep::new(until, next)
    };
    assert_eq!(state, State::Sleeping(asleep));
}

#[test]
fn jitter_delays_a_run_and_never_its_tick() {
    let mut machine = machine("every = \"10s\"\njitter = \"8s\"");
    let (state, actions) = machine.start(at(101), 0.5);
    let until = WakeTime::Wall(second(104));
    assert_eq!(actions, [sleep_action(until)]);
    let (state, _) = machine.step(state, Event::Woke, at(104), 0.0);
    assert!(matches!(state, State::Looking { turn, late: false, .. } if turn == attempt(1, 100)));
}

#[test]
fn clock_set_back_brings_no_tick_early_or_twice() {
    let mut machine = machine("every = \"10s\"");
    let (state, _) = run(&mut machine, 101, RunVerdict::Done);
    let (state, _) = released(&mut machine, state, 101);
    // Put back by a minute: the tick that was run is in the future now.
    let back = TimeNow {
        wall: second(41),
        ..at(101)
    };
    let (state, actions) = machine.step(state, Event::Woke, back, 0.0);
    let until = WakeTime::Wall(second(110));
    assert_eq!(actions, [sleep_action(until)]);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 110)));
}

#[test]
fn clock_set_back_before_its_tick_brings_the_next_tick() {
    let mut machine = machine("cron = \"0 * * * *\"");
    // A machine without a battery: its clock is a day ahead until the network is there.
    let day = 24 * 3600;
    let (state, _) = machine.start(at(day + 5000), 0.0);
    let (state, _) = machine.step(state, Event::Looked(TickLook::Open), at(day + 5000), 0.0);
    let (_, actions) = machine.step(state, Event::Woke, at(5000), 0.0);
    let until = WakeTime::Wall(second(7200));
    assert_eq!(actions, [sleep_action(until)]);
}

/// The clock was four years ahead, and a tick was run by it before it was set right.
#[test]
fn clock_set_back_by_years_delays_no_tick() {
    let mut machine = machine("every = \"10s\"");
    let years = 4 * 365 * 24 * 3_600;
    let state = to_the_lock(&mut machine, years);
    let state = to_the_run(&mut machine, state, years);
    let (state, _) = machine.step(state, run_ended(RunVerdict::Done), at(years + 1), 0.0);
    let right = TimeNow {
        wall: second(101),
        ..at(years + 2)
    };
    let (state, _) = released(&mut machine, state, years + 2);
    assert!(
        matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, years + 10))
    );
    let (state, actions) = machine.step(state, Event::Woke, right, 0.0);
    let until = WakeTime::Wall(second(110));
    assert_eq!(actions, [sleep_action(until)]);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 110)));

    // Set right while the job waits for the lock, or for the next attempt.
    let turn = attempt(1, years);
    let requested = right.boot;
    let waiting = State::Waiting { turn, requested };
    let (_, actions) = machine.step(waiting, ACQUIRED, right, 0.0);
    assert_eq!(actions, [RELEASE]);
    let sleeping = State::Sleeping(JobSleep::new(WakeTime::Boot(right.boot), turn));
    let (state, _) = machine.step(sleeping, Event::Woke, right, 0.0);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 110)));
}

#[test]
fn suspended_machine_skips_passed_ticks_and_a_busy_one_does_not() {
    let mut machine = machine("every = \"10s\"");
    let (state, _) = run(&mut machine, 101, RunVerdict::Done);
    let (asleep, _) = released(&mut machine, state, 101);
    let (state, actions) = machine.step(asleep, Event::Woke, at(1005), 0.0);
    assert!(
        matches!(&actions[0], Action::LogSkipped(SkipCause::Missed, logged) if logged.contains("00:01:50Z"))
    );
    assert!(matches!(state, State::Looking { turn, late: true, .. } if turn == attempt(1, 1000)));

    let mut quick = self::machine("every = \"100ms\"");
    let (state, _) = run(&mut quick, 100, RunVerdict::Done);
    let (asleep, _) = released(&mut quick, state, 100);
    let busy = TimeNow {
        wall: UnixMs::new(100_350),
        ..at(100)
    };
    let (state, _) = quick.step(asleep, Event::Woke, busy, 0.0);
    assert!(matches!(state, State::Looking { late: false, .. }));
}

#[test]
fn late_claim_queues_again_and_trouble_pauses() {
    let mut machine = machine("every = \"10s\"");
    let state = to_the_lock(&mut machine, 100);
    let (claiming, _) = machine.step(state, ACQUIRED, at(100), 0.0);
    let (state, actions) = machine.step(claiming.clone(), claimed(TickClaim::Lost), at(101), 0.0);
    assert_eq!(actions, [RELEASE]);
    let (_, actions) = released(&mut machine, state, 101);
    assert_eq!(actions, [ACQUIRE]);

    let trouble = claimed(TickClaim::Trouble("no store".into()));
    let (state, actions) = machine.step(claiming, trouble, at(101), 0.0);
    assert!(matches!(actions[..], [RELEASE, Action::LogBackoff { .. }]));
    let (state, _) = released(&mut machine, state, 101);
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 100)));
}

#[test]
fn again_keeps_the_lock_and_a_loss_in_the_pause_queues_again() {
    for schedule in ["", "every = \"10s\""] {
        let mut machine = machine(schedule);
        let (state, actions) = run(&mut machine, 101, RunVerdict::Again(SECOND));
        assert_eq!(actions, [pause_action(SECOND)]);
        // The tick is the same and is claimed already: it is not claimed again.
        let (resumed, actions) =
            machine.step(state.clone(), pause_ended(PauseEnd::Over(())), at(102), 1.0);
        assert!(matches!(resumed, State::Running { .. }));
        assert!(matches!(actions[..], [Action::Run { .. }]));
        let (state, actions) = machine.step(state, pause_ended(PauseEnd::Lost), at(101), 1.0);
        assert_eq!(actions, [RELEASE]);
        let (_, actions) = released(&mut machine, state, 101);
        assert_eq!(actions, [ACQUIRE]);
    }
}

/// Fails when a guest that asks to run again at once does so thousands of times a second.
#[test]
fn runs_under_one_grant_begin_a_tenth_of_a_second_apart() {
    let millis = Duration::from_millis;
    for (restart, took, asked, paused) in [
        ("", 0, 0, 100),
        ("", 30, 20, 70),
        ("", 30, 250, 250),
        ("", 4_000, 0, 0),
        ("restart = { min = \"10ms\" }", 0, 0, 10),
        ("restart = { min = \"30s\" }", 0, 0, 100),
    ] {
        let mut machine = machine(restart);
        let state = to_the_lock(&mut machine, 100);
        let state = to_the_run(&mut machine, state, 100);
        let mut now = at(100);
        now.boot = now.boot.after(millis(took));
        let ended = run_ended(RunVerdict::Again(millis(asked)));
        let (_, actions) = machine.step(state, ended, now, 1.0);
        assert_eq!(
            actions,
            [pause_action(millis(paused))],
            "{restart} {took} {asked}"
        );
    }
}

#[test]
fn a_stopping_host_starts_nothing_and_ends_everything() {
    let mut machine = machine("");
    let (waiting, _) = machine.start(at(1), 0.0);
    machine.stopping = true;
    let (state, actions) = machine.step(waiting, ACQUIRED, at(2), 1.0);
    assert_eq!(actions, [RELEASE]);
    let (state, _) = released(&mut machine, state, 2);
    assert_eq!(state, State::Ended(JobEnding::Stopped));

    let turn = RunTurn {
        attempt: 1,
        tick: None,
    };
    let sleeping = State::Sleeping(JobSleep::new(WakeTime::Boot(at(9).boot), turn));
    let (state, _) = machine.step(sleeping, Event::Cancelled, at(2), 1.0);
    assert_eq!(state, State::Ended(JobEnding::Stopped));
    let since = at(1).boot;
    let running = State::Running {
        turn,
        since,
        token: Token::default(),
    };
    let ended = run_ended(RunVerdict::Failed("cut".into()));
    let (state, _) = machine.step(running, ended, at(2), 1.0);
    let (state, _) = released(&mut machine, state, 2);
    assert_eq!(state, State::Ended(JobEnding::Stopped));
}

/// A tick that was begun stays begun, and one that is done is marked as done.
#[test]
fn stopping_host_leaves_an_unfinished_tick_to_another() {
    let mut machine = machine("every = \"10s\"");
    let state = to_the_lock(&mut machine, 100);
    let (claiming, _) = machine.step(state, ACQUIRED, at(100), 0.0);
    machine.stopping = true;
    let tick = second(100);
    let ours = claimed(TickClaim::Ours { tick, attempt: 1 });
    let (_, actions) = machine.step(claiming, ours, at(100), 0.0);
    assert_eq!(actions, [RELEASE]);

    let turn = attempt(1, 100);
    let since = at(100).boot;
    let running = State::Running {
        turn,
        since,
        token: Token::default(),
    };
    let stopped = run_ended(RunVerdict::Stopped);
    let (_, actions) = machine.step(running.clone(), stopped, at(101), 0.0);
    assert_eq!(actions, [RELEASE]);
    let (state, actions) = machine.step(running, run_ended(RunVerdict::Done), at(101), 0.0);
    let mark = TickMark::Done;
    assert_eq!(actions, [mark_action(tick, mark)]);
    let (state, _) = released(&mut machine, state, 101);
    assert_eq!(state, State::Ended(JobEnding::Stopped));
}

#[test]
fn store_trouble_is_not_counted_as_an_attempt() {
    let mut machine = machine("once = true");
    let (state, _) = machine.start(at(1), 0.0);
    let missed = Event::Missed(AcquireMiss::Trouble("no store".into()));
    let (state, actions) = machine.step(state, missed, at(1), 1.0);
    assert!(matches!(&actions[0], Action::LogBackoff { .. }));
    assert!(matches!(state, State::Sleeping(JobSleep { next, .. }) if next.attempt == 1));
}

fn no_slot() -> RunLack {
    RunLack::Slot("no free slot".into())
}

fn no_secret() -> RunLack {
    RunLack::Other("no secret".into())
}

#[test]
fn a_job_without_a_slot_waits_for_one_outside_the_queue() {
    let mut machine = machine("");
    let (state, _) = machine.start(at(1), 0.0);
    let missed = Event::Missed(AcquireMiss::Lacks(no_slot()));
    let (state, actions) = machine.step(state, missed, at(1), 1.0);
    let until = LackEnd::Slot;
    let logged = Action::LogStandingBack(no_slot());
    assert_eq!(actions, [logged, Action::StandBack { until }]);
    assert!(matches!(&state, State::StandingBack { turn, .. } if turn.attempt == 1));
    let (replaced, actions) = machine.step(state.clone(), Event::Ready(None), at(9), 1.0);
    assert_eq!(actions, [ACQUIRE]);
    assert!(matches!(replaced, State::Waiting { .. }));
    let (state, actions) = machine.step(state, Event::Ready(Some(())), at(9), 1.0);
    // It brings the slot along.
    assert_eq!(actions, [Action::Acquire(Some(()))]);
    assert!(matches!(state, State::Waiting { turn, .. } if turn.attempt == 1));
}

#[test]
fn lack_is_news_unless_only_its_numbers_change() {
    let clock = |shown: &str| RunLack::Clock(shown.into());
    assert!(clock("09:00").is_like(&clock("09:01")));
    assert!(no_secret().is_like(&no_secret()));
    assert!(!no_secret().is_like(&RunLack::Other("no directory".into())));
    assert!(!no_slot().is_like(&no_secret()));
}

#[test]
fn lasting_lack_is_checked_in_growing_pauses() {
    let mut machine = machine("restart = { min = \"1s\", max = \"4s\" }");
    let (mut state, _) = machine.start(at(100), 0.0);
    let mut event = Event::Missed(AcquireMiss::Lacks(no_secret()));
    let mut pauses = vec![];
    for _ in 0..4 {
        let (next, actions) = machine.step(state, event, at(100), 1.0);
        let [
            Action::LogStandingBack(_),
            Action::StandBack {
                until: LackEnd::At(until),
            },
        ] = actions[..]
        else {
            panic!("{actions:?}");
        };
        pauses.push(until.since(at(100).boot).as_secs());
        (state, event) = (next, Event::Lacks(no_secret()));
    }
    assert_eq!(pauses, [1, 2, 4, 4]);
}

/// A lack does not count as an attempt, and a tick that was not started is not marked: it stays open for other
/// hosts.
#[test]
fn a_tick_that_cannot_be_started_is_given_back_unmarked() {
    for lack in [no_slot(), no_secret()] {
        let mut claiming = machine("every = \"10s\"");
        let state = to_the_lock(&mut claiming, 100);
        let (state, _) = claiming.step(state, ACQUIRED, at(100), 0.0);
        let lacks = claimed(TickClaim::Lacks(lack.clone()));
        let (state, actions) = claiming.step(state, lacks, at(100), 0.0);
        let logged = Action::LogStandingBack(lack.clone());
        assert_eq!(actions, [RELEASE, logged.clone()]);
        let (state, _) = released(&mut claiming, state, 100);
        assert!(matches!(state, State::StandingBack { turn, .. } if turn == attempt(1, 100)));

        let mut running = machine("every = \"10s\"");
        let lacks = RunVerdict::Lacks(lack.clone());
        let (state, actions) = run(&mut running, 100, lacks);
        assert_eq!(actions, [RELEASE, logged]);
        let (state, _) = released(&mut running, state, 100);
        assert!(matches!(state, State::StandingBack { turn, .. } if turn == attempt(1, 100)));
    }
}

#[test]
fn a_job_that_is_ready_again_looks_at_the_newest_tick_first() {
    let mut machine = machine("every = \"10s\"");
    let state = to_the_lock(&mut machine, 100);
    let missed = Event::Missed(AcquireMiss::Lacks(no_slot()));
    let (state, _) = machine.step(state, missed, at(100), 0.0);
    let (same, actions) = machine.step(state.clone(), Event::Ready(Some(())), at(109), 0.0);
    assert!(matches!(same, State::Looking { turn, late: false, .. } if turn == attempt(1, 100)));
    let tick = second(100);
    assert_eq!(actions, [Action::Look { tick }]);
    let (newer, actions) = machine.step(state.clone(), Event::Ready(Some(())), at(135), 0.0);
    assert!(matches!(newer, State::Looking { turn, late: false, .. } if turn == attempt(1, 130)));
    assert!(
        matches!(&actions[0], Action::LogSkipped(SkipCause::Missed, logged) if logged.contains("00:01:40Z"))
    );
    // The clock was put back meanwhile: no tick comes early.
    let (early, _) = machine.step(state, Event::Ready(Some(())), at(95), 0.0);
    assert!(matches!(early, State::Sleeping(JobSleep { next, .. }) if next == attempt(1, 100)));
}

#[test]
fn a_pause_that_ends_without_a_slot_gives_the_lock_back() {
    let mut machine = machine("every = \"10s\"");
    let (state, _) = run(&mut machine, 101, RunVerdict::Again(SECOND));
    let (state, actions) =
        machine.step(state, pause_ended(PauseEnd::Lacks(no_slot())), at(102), 0.0);
    let logged = Action::LogStandingBack(no_slot());
    assert_eq!(actions, [RELEASE, logged]);
    let (state, actions) = released(&mut machine, state, 102);
    assert!(matches!(state, State::StandingBack { turn, .. } if turn == attempt(1, 100)));
    let until = LackEnd::Slot;
    assert_eq!(actions, [Action::StandBack { until }]);
}

#[test]
fn stopping_host_ends_a_job_that_stands_back_without_a_log_line() {
    let mut machine = machine("");
    let (state, _) = machine.start(at(1), 0.0);
    let missed = Event::Missed(AcquireMiss::Lacks(no_slot()));
    let (standing, _) = machine.step(state.clone(), missed.clone(), at(1), 0.0);
    machine.stopping = true;
    for event in [
        Event::Cancelled,
        Event::Ready(Some(())),
        Event::Lacks(no_slot()),
    ] {
        let (state, actions) = machine.step(standing.clone(), event, at(2), 0.0);
        assert_eq!(state, State::Ended(JobEnding::Stopped));
        assert_eq!(actions, [Action::LogEnded(JobEnding::Stopped)]);
    }
    let (state, _) = machine.step(state, missed, at(2), 0.0);
    assert_eq!(state, State::Ended(JobEnding::Stopped));
}

fn held_by(reason: &str) -> RunLack {
    RunLack::Held {
        reason: reason.into(),
        is_everywhere: true,
    }
}

fn held() -> RunLack {
    held_by("paused by ann@vm")
}

/// Brings a job to its lock and has it stand back there by an order.
fn hold(machine: &mut Machine, now: u64) -> State {
    let state = to_the_lock(machine, now);
    let missed = Event::Missed(AcquireMiss::Lacks(held()));
    let (state, actions) = machine.step(state, missed, at(now), 0.0);
    let until = LackEnd::Hold;
    let logged = Action::LogStandingBack(held());
    assert_eq!(actions, [logged, Action::StandBack { until }]);
    state
}

#[test]
fn held_job_waits_for_its_lock_when_the_hold_ends() {
    for job in ["", "once = true"] {
        let mut machine = machine(job);
        let state = hold(&mut machine, 100);
        let (state, actions) = machine.step(state, Event::HoldEnded, at(200), 0.0);
        assert_eq!(actions, [ACQUIRE]);
        assert!(matches!(state, State::Waiting { turn, .. } if turn.attempt == 1));
    }
}

/// A nightly job that skips missed ticks does not run at noon, when a pause ends.
#[test]
fn skipped_ticks_of_a_hold_run_only_if_begun() {
    let mut machine = machine("every = \"10s\"");
    let standing = hold(&mut machine, 100);
    for (now, tick) in [(109, 100), (135, 130)] {
        let (state, actions) = machine.step(standing.clone(), Event::HoldEnded, at(now), 0.0);
        assert!(
            matches!(&actions[0], Action::LogSkipped(SkipCause::Held, text) if text.contains("00:01:40Z"))
        );
        let look = second(tick);
        assert_eq!(actions[1], Action::Look { tick: look });
        let open = Event::Looked(TickLook::Open);
        let (slept, _) = machine.step(state.clone(), open, at(now), 0.0);
        let next = attempt(1, now / 10 * 10 + 10);
        assert!(
            matches!(slept, State::Sleeping(sleep) if sleep.next == next),
            "{now}"
        );
        let begun = Event::Looked(TickLook::Begun);
        let (_, actions) = machine.step(state, begun, at(now), 0.0);
        assert_eq!(actions, [ACQUIRE]);
    }
}

#[test]
fn newest_tick_of_a_hold_is_caught_up_with() {
    let mut machine = machine("every = \"10s\"\nmissed = \"catch-up\"");
    let standing = hold(&mut machine, 100);
    let (state, actions) = machine.step(standing, Event::HoldEnded, at(135), 0.0);
    assert!(matches!(&actions[0], Action::LogSkipped(..)));
    let tick = second(130);
    assert_eq!(actions[1], Action::Look { tick });
    let open = Event::Looked(TickLook::Open);
    let (_, actions) = machine.step(state, open, at(135), 0.0);
    assert_eq!(actions, [ACQUIRE]);
}

#[test]
fn another_order_replaces_the_reason_of_a_hold() {
    let mut machine = machine("");
    let state = hold(&mut machine, 100);
    let other = held_by("this host is drained by ann@vm");
    let (state, _) = machine.step(state, Event::Lacks(other), at(101), 0.0);
    assert_eq!(state.detail(), "this host is drained by ann@vm");
}

#[test]
fn hold_in_a_pause_or_at_a_claim_gives_the_lock_back() {
    let mut machine = machine("every = \"10s\"");
    let (pausing, _) = run(&mut machine, 101, RunVerdict::Again(SECOND));
    let (_, actions) = machine.step(pausing, pause_ended(PauseEnd::Lacks(held())), at(101), 0.0);
    assert_eq!(actions[0], RELEASE);
    let state = to_the_lock(&mut machine, 110);
    let (claiming, _) = machine.step(state, ACQUIRED, at(110), 0.0);
    let lacks = claimed(TickClaim::Lacks(held()));
    let (_, actions) = machine.step(claiming, lacks, at(110), 0.0);
    assert_eq!(actions[0], RELEASE);
}

fn halted(kind: StopKind) -> RunVerdict {
    RunVerdict::Halted(kind, "stopped by ann@vm".into())
}

/// A stopped tick is over and its job goes on; a restarted one is run again at once.
#[test]
fn halted_tick_is_over_or_runs_again_at_once() {
    let mut stopped = machine("every = \"10s\"\nretries = 3");
    let (state, actions) = run(&mut stopped, 101, halted(StopKind::Stop));
    assert_eq!(actions, [mark_action(second(100), TickMark::Done)]);
    let (state, _) = released(&mut stopped, state, 101);
    assert_eq!(state.detail(), "stopped by ann@vm");
    assert!(matches!(state, State::Sleeping(sleep) if sleep.next == attempt(1, 110)));

    let mut restarted = machine("every = \"10s\"");
    let (state, actions) = run(&mut restarted, 101, halted(StopKind::Restart));
    let not_before = second(101);
    let mark = TickMark::Retry { not_before };
    assert_eq!(actions, [mark_action(second(100), mark)]);
    let (state, actions) = released(&mut restarted, state, 101);
    assert_eq!(actions, [ACQUIRE]);
    assert!(matches!(state, State::Waiting { turn, .. } if turn == attempt(2, 100)));
}

#[test]
fn halted_continuous_job_pauses_or_waits_again() {
    let mut stopped = machine("restart = { min = \"2s\", max = \"4s\" }");
    let (state, actions) = run(&mut stopped, 101, halted(StopKind::Stop));
    assert_eq!(actions, [RELEASE]);
    let (state, _) = released(&mut stopped, state, 101);
    let until = WakeTime::Boot(at(103).boot);
    assert!(matches!(&state, State::Sleeping(sleep) if sleep.until == until));
    assert_eq!(stopped.failures, 0);

    let mut restarted = machine("");
    let (state, _) = run(&mut restarted, 101, halted(StopKind::Restart));
    let (_, actions) = released(&mut restarted, state, 101);
    assert_eq!(actions, [ACQUIRE]);
}

#[test]
fn halted_once_job_has_failed_or_waits_again() {
    let mut stopped = machine("once = true");
    let (state, _) = run(&mut stopped, 101, halted(StopKind::Stop));
    let (state, _) = released(&mut stopped, state, 101);
    assert!(matches!(state, State::Ended(JobEnding::Failed(why)) if why == "stopped by ann@vm"));
    let mut restarted = machine("once = true");
    let (state, _) = run(&mut restarted, 101, halted(StopKind::Restart));
    let (_, actions) = released(&mut restarted, state, 101);
    assert_eq!(actions, [ACQUIRE]);
}

#[test]
fn halted_pause_gives_the_lock_back() {
    for (kind, expected) in [
        (StopKind::Stop, TickMark::Done),
        (
            StopKind::Restart,
            TickMark::Retry {
                not_before: second(102),
            },
        ),
    ] {
        let mut machine = machine("every = \"10s\"");
        let (pausing, _) = run(&mut machine, 101, RunVerdict::Again(SECOND));
        let end = pause_ended(PauseEnd::Halted(kind, "stopped by ann@vm".into()));
        let (_, actions) = machine.step(pausing, end, at(102), 0.0);
        let marked = Action::Mark {
            grant: (),
            tick: second(100),
            mark: expected,
            outcome: Outcome::Stopped,
        };
        assert_eq!(actions, [marked]);
    }
}

/// True if this action is a piece of work, which ends in one event; the others are log entries.
fn is_work(action: &Action) -> bool {
    !matches!(
        action,
        Action::LogSkipped(..)
            | Action::LogStandingBack(_)
            | Action::LogBackoff { .. }
            | Action::LogEnded(_)
    )
}

/// Returns any of the ways in which this piece of work can end.
fn any_end(work: &Action, rng: &mut fastrand::Rng, now: TimeNow) -> Event {
    let reason = || "because".to_owned();
    let pick = rng.u32(0..10);
    let lack = match rng.u32(0..5) {
        0 | 1 => no_slot(),
        2 | 3 => no_secret(),
        _ => held(),
    };
    let kind = if rng.bool() {
        StopKind::Stop
    } else {
        StopKind::Restart
    };
    match *work {
        Action::Look { tick } => Event::Looked(match pick {
            0..5 => TickLook::Open,
            5 => TickLook::Lacks(lack),
            6..8 => TickLook::Begun,
            _ => TickLook::Over {
                known: tick.after(SECOND * rng.u32(0..300)),
                reason: reason(),
            },
        }),
        Action::Acquire(_) => match pick {
            0 => Event::Missed(AcquireMiss::Contended(reason())),
            1 => Event::Missed(AcquireMiss::Trouble(reason())),
            2 => Event::Missed(AcquireMiss::Lacks(lack)),
            _ => ACQUIRED,
        },
        Action::Claim { tick, newest, .. } => claimed(match pick {
            0 if rng.bool() => TickClaim::Lost,
            0 => TickClaim::Lacks(lack),
            1 => TickClaim::Trouble(reason()),
            2 => TickClaim::NotYet {
                wait: SECOND * rng.u32(0..100),
                reason: reason(),
            },
            3 => TickClaim::Over {
                known: tick.after(SECOND * rng.u32(0..300)),
                reason: reason(),
            },
            _ => TickClaim::Ours {
                tick: if pick < 6 { tick } else { newest },
                attempt: rng.u32(1..4),
            },
        }),
        Action::Run { .. } => run_ended(match pick {
            0 => RunVerdict::Again(SECOND),
            1 | 2 => RunVerdict::Failed(reason()),
            3 => RunVerdict::Lost,
            4 => RunVerdict::Lacks(lack),
            5 => RunVerdict::Halted(kind, reason()),
            _ => RunVerdict::Done,
        }),
        Action::Pause { .. } => pause_ended(match pick {
            0..2 => PauseEnd::Lost,
            2..4 => PauseEnd::Lacks(lack),
            4 => PauseEnd::Halted(kind, reason()),
            _ => PauseEnd::Over(()),
        }),
        Action::StandBack { .. } if pick < 4 => Event::Lacks(lack),
        Action::StandBack {
            until: LackEnd::Hold,
        } => Event::HoldEnded,
        Action::StandBack { .. } => Event::Ready(Some(())),
        Action::Sleep { .. } => Event::Woke,
        Action::Mark { .. } => MARKED,
        Action::Release(()) => Event::Released,
        _ => panic!("{work:?} is not a piece of work, at {now:?}"),
    }
}

/// For any events in any order, and for any setting of the clock within the skew: one piece of work at a time.
/// Nothing is done to a tick without the lock, no run starts without a claim, and no tick runs after it was done.
#[test]
fn any_events_leave_one_piece_of_work_and_repeat_no_done_tick() {
    let jobs = [
        "every = \"10s\"\nretries = 2",
        "every = \"7s\"\nmissed = \"catch-up\"\njitter = \"6s\"",
        "cron = \"* * * * *\"\nretries = 1",
        "cron = \"*/20 * * * * *\"\nmissed = \"catch-up\"",
    ];
    let mut marked = 0;
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut machine = machine(jobs[rng.usize(0..jobs.len())]);
        let mut now = at(1_000_000);
        let (mut state, mut actions) = machine.start(now, rng.f64());
        let (mut holds, mut claimed, mut done) = (false, None, None);
        let mut highest = now.wall;
        for _ in 0..300 {
            let mut works = actions.iter().filter(|action| is_work(action));
            let Some(work) = works.next().cloned() else {
                panic!("seed {seed}: nothing to do in {state:?}");
            };
            assert_eq!(works.next(), None, "seed {seed}");
            match work {
                Action::Claim { tick, newest, .. } => {
                    assert!(holds && newest >= tick, "seed {seed}: {work:?}");
                    assert!(Some(tick) > done, "seed {seed}: {tick} after {done:?}");
                }
                Action::Run { turn, .. } => {
                    assert!(holds && turn.tick == claimed, "seed {seed}: {turn:?}");
                }
                Action::Mark { tick, mark, .. } => {
                    assert!(holds && Some(tick) == claimed, "seed {seed}: {work:?}");
                    if mark == TickMark::Done {
                        marked += 1;
                        done = done.max(Some(tick));
                    }
                }
                Action::Release(()) => {
                    assert!(holds, "seed {seed}");
                    (holds, claimed) = (false, None);
                }
                _ => {}
            }
            let passed = Duration::from_millis(rng.u64(0..20_000));
            now.boot = now.boot.after(passed);
            now.wall = match rng.u32(0..20) {
                0 => now.wall.before(SECOND * rng.u32(0..500)),
                1 => now.wall.after(SECOND * rng.u32(0..500)),
                _ => now.wall.after(passed),
            };
            // A clock that is put back by more than this may bring a tick again.
            now.wall = now.wall.max(highest.before(SKEW));
            highest = highest.max(now.wall);
            let event = any_end(&work, &mut rng, now);
            holds |= event == ACQUIRED;
            if let Event::Claimed {
                claim: TickClaim::Ours { tick, .. },
                ..
            } = &event
            {
                claimed = Some(*tick);
            }
            (state, actions) = machine.step(state, event, now, rng.f64());
        }
    }
    assert!(marked > 1_000, "{marked} ticks were done");
}

/// The reason of a failed run stays in the job's record until another run succeeds.
#[test]
fn sleep_after_failure_keeps_reason() {
    let mut machine = machine("every = \"10s\"");
    let (state, _) = run(&mut machine, 101, RunVerdict::Failed("no luck".into()));
    let (state, _) = released(&mut machine, state, 101);
    assert_eq!(state.detail(), "no luck");
    let (state, _) = machine.step(state, Event::Woke, at(110), 0.0);
    assert!(matches!(state, State::Looking { .. }));
    let over = TickLook::Over {
        known: second(110),
        reason: "run by b".into(),
    };
    let (state, _) = machine.step(state, Event::Looked(over), at(110), 0.0);
    assert_eq!(state.detail(), "no luck");
    let (state, _) = machine.step(state, Event::Woke, at(120), 0.0);
    let (state, _) = machine.step(state, Event::Looked(TickLook::Open), at(120), 0.0);
    assert_eq!(state.detail(), "");
    let state = to_the_run(&mut machine, state, 120);
    let (state, _) = machine.step(state, run_ended(RunVerdict::Done), at(121), 0.0);
    let (state, _) = released(&mut machine, state, 121);
    assert!(matches!(state, State::Sleeping(_)));
    assert_eq!(state.detail(), "");
}

/// The return of the store ends the sleep, its reason and the count of failures.
#[test]
fn unanswered_request_sleeps_until_store_returns() {
    let mut machine = machine("every = \"1h\"\nrestart = { min = \"1s\", max = \"60s\" }");
    for requested in [3600, 3700] {
        let state = to_the_lock(&mut machine, requested);
        let missed = Event::Missed(AcquireMiss::Unanswered("no store".into()));
        let (state, actions) = machine.step(state, missed, at(requested + 5), 1.0);
        let until = WakeTime::Boot(at(requested + 6).boot);
        let unanswered = Some(at(requested).boot);
        assert_eq!(actions[1], Action::Sleep { until, unanswered });
        assert_eq!(state.detail(), "no store");
        let (state, _) = machine.step(state, Event::StoreBack, at(requested + 6), 1.0);
        assert!(matches!(state, State::Looking { .. }));
        assert_eq!(state.detail(), "");
    }
    // A failure that the store answered is not over with its next answer.
    let state = to_the_lock(&mut machine, 3800);
    let missed = Event::Missed(AcquireMiss::Trouble("no space".into()));
    let (state, actions) = machine.step(state, missed, at(3800), 1.0);
    assert!(matches!(
        actions[1],
        Action::Sleep {
            unanswered: None,
            ..
        }
    ));
    let (state, _) = machine.step(state, Event::Woke, at(3801), 1.0);
    assert_eq!(state.detail(), "no space");
}

/// A grant that shows whether it still exists.
#[derive(Debug)]
struct WatchedGrant {
    _alive: Arc<()>,
}

impl MachineGrant for WatchedGrant {
    fn token(&self) -> Token {
        Token::new(7)
    }
}

/// Fails on a machine that keeps the grant of an event that its state does not expect: the lock would be held by a
/// job that has ended.
#[test]
fn unexpected_event_drops_its_grant() {
    let config = machine("");
    let alive = Arc::new(());
    let grant = || WatchedGrant {
        _alive: alive.clone(),
    };
    let turn = RunTurn {
        attempt: 1,
        tick: None,
    };
    let states = [
        MachineState::Waiting {
            turn,
            requested: at(1).boot,
        },
        MachineState::Running {
            turn,
            since: at(1).boot,
            token: Token::new(7),
        },
        MachineState::Ended(JobEnding::Stopped),
    ];
    for state in states {
        let mut machine = JobMachine::new(config.rules.clone());
        let event = MachineEvent::<_, ()>::Marked { grant: grant() };
        let (state, actions) = machine.step(state, event, at(2), 0.0);
        assert!(matches!(state, MachineState::Ended(_)));
        assert_eq!(Arc::strong_count(&alive), 1, "{state:?} {actions:?}");
    }
}
