//! Every check on synthetic logs: one that it must pass, and one for each way in which it must fail.

use serde_json::json;

use super::*;

/// The events of one attempt under lock `l`; a host's run ids are named after host and token.
struct Run {
    host: &'static str,
    token: u64,
    started: u64,
    effects: Vec<u64>,
    end: Option<Ended>,
}

#[derive(Clone, Copy)]
struct Ended {
    outcome: &'static str,
    stopped: u64,
    deadline: u64,
    admitted: u64,
}

fn line(name: &str, host: &str, token: u64, boot_ns: u64, more: &serde_json::Value) -> Event {
    let mut line = json!({
        "event": name, "host": host, "job": "j", "lock": "l", "token": token,
        "run": format!("{host}-{token}"), "boot_ns": boot_ns,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        line[key] = value.clone();
    }
    Event::parse(&line.to_string())
}

fn simple(name: &str, host: &str, token: u64, boot_ns: u64) -> Event {
    line(name, host, token, boot_ns, &json!({}))
}

impl Run {
    fn new(host: &'static str, token: u64, started: u64, effects: &[u64]) -> Self {
        Self {
            host,
            token,
            started,
            effects: effects.to_vec(),
            end: None,
        }
    }

    fn ended(mut self, outcome: &'static str, stopped: u64, deadline: u64) -> Self {
        let admitted = self.effects.iter().copied().max().unwrap_or_default();
        self.end = Some(Ended {
            outcome,
            stopped,
            deadline,
            admitted,
        });
        self
    }

    fn admitted(mut self, at: u64) -> Self {
        if let Some(end) = &mut self.end {
            end.admitted = at;
        }
        self
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![simple("run-started", self.host, self.token, self.started)];
        for at in &self.effects {
            events.push(simple("guest", self.host, self.token, *at));
        }
        if let Some(Ended {
            outcome,
            stopped,
            deadline,
            admitted,
        }) = self.end
        {
            let more = json!({ "outcome": outcome, "stopped_ns": stopped, "deadline_ns": deadline, "last_admitted_ns": admitted });
            events.push(line("run-ended", self.host, self.token, stopped, &more));
        }
        events
    }
}

fn merged(runs: &[Run], more: &[Event]) -> Vec<Event> {
    crate::events::merge(runs.iter().map(Run::events).chain([more.to_vec()]))
}

/// A run that keeps every promise, and its successor on another host.
fn handed_over() -> Vec<Run> {
    vec![
        Run::new("a", 5, 100, &[110, 190]).ended("done", 200, 1000),
        Run::new("b", 9, 300, &[310, 390]).ended("lost", 450, 400),
    ]
}

fn usual() -> Circumstances {
    Circumstances {
        stop_bound: Duration::from_nanos(60),
        ..Circumstances::default()
    }
}

#[track_caller]
fn fails(verdict: Result<(), String>, with: &[&str]) {
    let why = verdict.unwrap_err();
    for part in with {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
}

#[test]
fn a_log_that_keeps_every_promise_passes_every_check() {
    let releases = [
        simple("released", "a", 5, 210),
        simple("lock-lost", "b", 9, 430),
    ];
    all(&merged(&handed_over(), &releases), &usual()).unwrap();
}

#[test]
fn a_log_without_effects_proves_nothing() {
    fails(all(&[], &usual()), &["nothing to check"]);
    fails(
        all(
            &merged(&[Run::new("a", 5, 1, &[]).ended("done", 2, 9)], &[]),
            &usual(),
        ),
        &["nothing to check"],
    );
}

#[test]
fn a_malformed_or_incomplete_event_fails_every_check() {
    fails(
        tokens_increase(&[Event::parse("thread panicked")], &usual()),
        &["no event", "thread panicked"],
    );
    let nameless =
        Event::parse(r#"{"event":"run-started","boot_ns":1,"host":"a","lock":"l","token":3}"#);
    fails(every_run_ends(&[nameless], &usual()), &["no run"]);
    fails(
        every_run_ends(&[simple("guest", "a", 5, 1)], &usual()),
        &["outside any run"],
    );
}

#[test]
fn c1_two_holders_whose_effects_interleave_overlap() {
    let runs = [
        Run::new("a", 5, 100, &[110, 350]),
        Run::new("b", 9, 300, &[310]),
    ];
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &usual()),
        &["C1", "token 9", "on b", "token 5", "on a", "50ns"],
    );
}

#[test]
fn c1_a_guest_that_stops_late_overlaps_without_an_effect() {
    let runs = [
        Run::new("a", 5, 100, &[110]).ended("lost", 301, 200),
        Run::new("b", 9, 300, &[310]),
    ];
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &usual()),
        &["C1", "1ns"],
    );
}

#[test]
fn c1_a_call_without_a_line_counts_too() {
    let runs = [
        Run::new("a", 5, 100, &[110])
            .ended("lost", 120, 200)
            .admitted(310),
        Run::new("b", 9, 300, &[]),
    ];
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &usual()),
        &["C1"],
    );
}

#[test]
fn c1_a_long_holder_is_compared_with_everyone_after_it() {
    let runs = [
        Run::new("a", 5, 100, &[110, 900]),
        Run::new("b", 9, 950, &[960]),
        Run::new("c", 7, 800, &[810]),
    ];
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &usual()),
        &["token 7", "token 5"],
    );
    let nested = [
        Run::new("a", 5, 100, &[900]),
        Run::new("c", 7, 200, &[]),
        Run::new("b", 9, 300, &[]),
    ];
    let mut forgiving = usual();
    forgiving.overlap = Duration::from_nanos(650);
    fails(
        intervals_never_overlap(&merged(&nested, &[]), &forgiving),
        &["token 7", "token 5", "700ns"],
    );
}

#[test]
fn c1_one_token_on_two_hosts_is_refused() {
    let runs = [Run::new("a", 5, 100, &[110]), Run::new("b", 5, 300, &[310])];
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &usual()),
        &["two hosts used one token"],
    );
}

#[test]
fn c1_only_locks_of_the_same_name_exclude_each_other() {
    let other = |event: Event| {
        let mut value = event.value().clone();
        value["lock"] = json!("m");
        Event::parse(&value.to_string())
    };
    let elsewhere = Run::new("b", 9, 120, &[130])
        .events()
        .into_iter()
        .map(other)
        .collect();
    let here = Run::new("a", 5, 100, &[110, 350]).events();
    intervals_never_overlap(&crate::events::merge([here, elsewhere]), &usual()).unwrap();
}

#[test]
fn c1_a_frozen_host_is_judged_by_its_admitted_calls() {
    let frozen = || Run::new("a", 5, 100, &[110]).ended("lost", 900, 200);
    let runs = [frozen(), Run::new("b", 9, 300, &[310])];
    intervals_never_overlap(&merged(&runs, &[]), &usual().frozen("a")).unwrap();
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &usual()),
        &["C1"],
    );
    let late = [frozen().admitted(320), Run::new("b", 9, 300, &[310])];
    fails(
        intervals_never_overlap(&merged(&late, &[]), &usual().frozen("a")),
        &["C1"],
    );
}

#[test]
fn c1_a_forced_removal_may_overlap_within_its_bound() {
    let runs = [
        Run::new("a", 5, 100, &[110, 350]),
        Run::new("b", 9, 300, &[310]),
    ];
    let mut forced = usual();
    forced.overlap = Duration::from_nanos(50);
    intervals_never_overlap(&merged(&runs, &[]), &forced).unwrap();
    forced.overlap = Duration::from_nanos(49);
    fails(
        intervals_never_overlap(&merged(&runs, &[]), &forced),
        &["C1"],
    );
}

#[test]
fn c2_a_later_holder_with_a_smaller_token_is_found() {
    let runs = [
        Run::new("a", 9, 100, &[110]).ended("done", 120, 900),
        Run::new("b", 5, 300, &[310]),
    ];
    fails(
        tokens_increase(&merged(&runs, &[]), &usual()),
        &["C2", "token 9", "token 5"],
    );
    tokens_increase(&merged(&handed_over(), &[]), &usual()).unwrap();
}

#[test]
fn c2_the_order_is_that_of_effects_not_of_starts() {
    let runs = [Run::new("a", 9, 100, &[500]), Run::new("b", 5, 200, &[210])];
    tokens_increase(&merged(&runs, &[]), &usual()).unwrap();
    let runs = [Run::new("a", 5, 100, &[500]), Run::new("b", 9, 200, &[210])];
    fails(tokens_increase(&merged(&runs, &[]), &usual()), &["C2"]);
}

#[test]
fn c3_a_late_effect_is_found_on_a_frozen_host_too() {
    let runs = [Run::new("a", 5, 100, &[110, 1001]).ended("lost", 2000, 1000)];
    fails(
        nothing_after_the_end(&merged(&runs, &[])),
        &["C3", "1ns after its deadline"],
    );
    let on_time = [Run::new("a", 5, 100, &[110, 1000]).ended("lost", 2000, 1000)];
    nothing_after_the_end(&merged(&on_time, &[])).unwrap();
}

#[test]
fn c3_a_call_without_a_line_is_late_too() {
    let runs = [Run::new("a", 5, 100, &[110])
        .ended("lost", 2000, 1000)
        .admitted(1500)];
    fails(
        nothing_after_the_end(&merged(&runs, &[])),
        &["C3", "500ns after its deadline"],
    );
}

#[test]
fn c3_an_effect_after_loss_or_stop_is_late_at_any_time() {
    let runs = [Run::new("a", 5, 100, &[110, 250]).ended("lost", 300, 1000)];
    let lost = [simple("lock-lost", "a", 5, 200)];
    fails(
        nothing_after_the_end(&merged(&runs, &lost)),
        &["C3", "50ns after its lock was lost"],
    );
    let other = [
        simple("lock-lost", "a", 4, 200),
        simple("lock-lost", "b", 5, 200),
    ];
    nothing_after_the_end(&merged(&runs, &other)).unwrap();
    let runs = [Run::new("a", 5, 100, &[110, 350]).ended("done", 300, 1000)];
    fails(
        nothing_after_the_end(&merged(&runs, &[])),
        &["C3", "50ns after it was stopped"],
    );
}

#[test]
fn c4_a_lost_run_that_is_stopped_late_is_found() {
    let late = [Run::new("a", 5, 100, &[110]).ended("lost", 261, 200)];
    fails(
        lost_runs_stop_in_time(&merged(&late, &[]), &usual()),
        &["C4", "61ns"],
    );
    let on_time = [Run::new("a", 5, 100, &[110]).ended("lost", 260, 200)];
    lost_runs_stop_in_time(&merged(&on_time, &[]), &usual()).unwrap();
    let early = [Run::new("a", 5, 100, &[110]).ended("lost", 150, 200)];
    lost_runs_stop_in_time(&merged(&early, &[]), &usual()).unwrap();
}

#[test]
fn c4_binds_neither_frozen_hosts_nor_runs_that_ended_otherwise() {
    let late = [Run::new("a", 5, 100, &[110]).ended("lost", 900, 200)];
    lost_runs_stop_in_time(&merged(&late, &[]), &usual().frozen("a")).unwrap();
    fails(
        lost_runs_stop_in_time(&merged(&late, &[]), &usual().frozen("b")),
        &["C4"],
    );
    let done = [Run::new("a", 5, 100, &[110]).ended("done", 900, 200)];
    lost_runs_stop_in_time(&merged(&done, &[]), &usual()).unwrap();
}

#[test]
fn c6_a_release_before_the_stop_is_found() {
    let early = [simple("released", "a", 5, 199)];
    fails(
        released_only_after_the_run(&merged(&handed_over(), &early)),
        &["C6", "stopped at 200", "released at 199"],
    );
    let others = [simple("released", "b", 5, 1), simple("released", "a", 4, 1)];
    released_only_after_the_run(&merged(&handed_over(), &others)).unwrap();
}

#[test]
fn c6_a_release_before_the_end_or_an_effect_is_found() {
    let released = [simple("released", "a", 5, 400)];
    fails(
        released_only_after_the_run(&merged(&[Run::new("a", 5, 100, &[110])], &released)),
        &["C6", "never ended"],
    );
    let late = [Run::new("a", 5, 100, &[110, 500]).ended("done", 200, 900)];
    fails(
        released_only_after_the_run(&merged(&late, &released)),
        &["C6", "effect at 500"],
    );
}

#[test]
fn c8_a_run_without_an_end_is_found_unless_its_host_was_killed() {
    let runs = [Run::new("a", 5, 100, &[110])];
    fails(
        every_run_ends(&merged(&runs, &[]), &usual()),
        &["C8", "run a-5 on a", "never ended"],
    );
    fails(
        every_run_ends(&merged(&runs, &[]), &usual().killed("b")),
        &["C8"],
    );
    every_run_ends(&merged(&runs, &[]), &usual().killed("a")).unwrap();
}

#[test]
fn c8_an_end_without_a_start_and_a_second_end_are_found() {
    let mut events = Run::new("a", 5, 100, &[]).ended("done", 200, 900).events();
    events.push(events[1].clone());
    fails(every_run_ends(&events, &usual()), &["C8", "ended twice"]);
    fails(
        every_run_ends(&events[1..2], &usual()),
        &["C8", "never started"],
    );
}

#[test]
fn c8_a_retried_run_needs_an_end_for_each_attempt() {
    let attempt = |at| {
        Run::new("a", 5, at, &[at + 10])
            .ended("retry", at + 20, 900)
            .events()
    };
    let twice = [attempt(100), attempt(200)].concat();
    all(&twice, &usual()).unwrap();
    let without = [&attempt(100)[..2], &attempt(200)].concat();
    fails(
        every_run_ends(&without, &usual().killed("a")),
        &["C8", "without an end between"],
    );
}
