//! Locks of a job: every form is read and shown as it was written, and sets that cannot be held are refused.

use insta::assert_snapshot;
use leasehold_ids::LockMode;

use super::layers::{STORE, joins, refused};
use super::{parse, valid, with_job};
use crate::config::{Clash, Job};

fn job(lines: &str) -> Job {
    valid(&with_job(lines)).jobs()[0].clone()
}

fn shown(job: &Job) -> String {
    let values = job.values();
    let lock = values.iter().find(|value| value.key() == "lock");
    lock.expect("every job has a lock").text().to_owned()
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("it is refused").to_string()
}

fn permits(weight: u32, of: u32) -> LockMode {
    LockMode::permits(weight, of).expect("it is valid")
}

#[test]
fn every_form_of_a_lock_is_read_and_shown() {
    let shared = LockMode::Shared;
    let exclusive = LockMode::Exclusive;
    for (lines, text, modes) in [
        ("", "\"a\"", vec![("a", exclusive)]),
        ("lock = \"b\"", "\"b\"", vec![("b", exclusive)]),
        ("lock = [\"b\"]", "\"b\"", vec![("b", exclusive)]),
        (
            "lock = { name = \"b\", mode = \"exclusive\" }",
            "\"b\"",
            vec![("b", exclusive)],
        ),
        (
            "lock = { name = \"b\", mode = \"shared\" }",
            "{ name = \"b\", mode = \"shared\" }",
            vec![("b", shared)],
        ),
        (
            "lock.name = \"b\"\nlock.of = 3",
            "{ name = \"b\", permits = 1, of = 3 }",
            vec![("b", permits(1, 3))],
        ),
        (
            "[[jobs.a.lock]]\nname = \"b\"\npermits = 2\nof = 2\n[[jobs.a.lock]]\nname = \"c/d\"",
            "[{ name = \"b\", permits = 2, of = 2 }, \"c/d\"]",
            vec![("b", permits(2, 2)), ("c/d", exclusive)],
        ),
        (
            "lock = [\"b\", { name = \"c\", mode = \"shared\" }]",
            "[\"b\", { name = \"c\", mode = \"shared\" }]",
            vec![("b", exclusive), ("c", shared)],
        ),
    ] {
        let job = job(lines);
        let read = job.locks().iter().map(|lock| (lock.name(), lock.mode()));
        assert_eq!(read.collect::<Vec<_>>(), modes, "{lines}");
        assert_eq!(shown(&job), text);
        // What is shown can be written.
        let again = self::job(&format!("lock = {text}"));
        assert_eq!(again.locks(), job.locks());
    }
}

#[test]
fn several_locks_have_one_label_and_other_locks_another_queue() {
    let both = job("lock = [\"b\", { name = \"c\", mode = \"shared\" }]");
    assert_eq!(both.locks().label(), "b+c");
    assert_eq!(both.locks().first().name(), "b");
    assert!(!both.locks().are_shareable() && both.locks().contains("c"));
    assert!(
        job("lock = { name = \"b\", of = 3 }")
            .locks()
            .are_shareable()
    );
    assert!(!both.queues_like(&job("lock = [\"b\", \"c\"]")));
    assert!(both.queues_like(&both.clone()));
}

#[test]
fn locks_that_can_never_be_held_are_refused() {
    let many: Vec<String> = (0..33).map(|n| format!("\"l{n}\"")).collect();
    let lines = [
        "lock = 7",
        "lock = []",
        "lock = [\"b\", 7]",
        "lock = [\"b/c\", \"d\", \"b\", \"d\"]",
        "lock = { mode = \"shared\" }",
        "lock = { name = \"b\", mode = \"read\", off = 3 }",
        "lock = { name = \"b\", mode = \"shared\", of = 3 }",
        "lock = { name = \"b\", permits = 2 }",
        "lock = { name = \"b\", permits = 4, of = 3 }",
        "lock = { name = \"b\", permits = 0, of = 3 }",
        "lock = { name = \"b\", of = 0 }",
        "lock = { name = \"b/\", permits = \"1\", of = 3 }",
        &format!("lock = [{}]", many.join(", ")),
    ];
    let tables = lines
        .iter()
        .enumerate()
        .map(|(at, lines)| format!("[jobs.j{at}]\nplugin = \"a.wasm\"\n{lines}\n"));
    let tables: String = tables.collect();
    assert_snapshot!("locks_refused", refusal(&format!("{STORE}{tables}")));
}

#[test]
fn capacities_of_a_lock_must_agree_over_all_jobs() {
    let text = format!(
        "{STORE}[jobs.a]\nplugin = \"a.wasm\"\nlock = {{ name = \"w\", of = 3 }}\n\
         [jobs.b]\nplugin = \"a.wasm\"\nlock = [\"x\", {{ name = \"w\", permits = 2, of = 5 }}]\n\
         [jobs.c]\nplugin = \"a.wasm\"\nlock = \"w\"\n\
         [jobs.d]\nplugin = \"a.wasm\"\nlock = [\"y\", \"x/z\"]\n"
    );
    assert_snapshot!("capacities_differ", refusal(&text));
}

#[test]
fn locks_of_a_dropped_in_job_are_judged_one_by_one() {
    let config = valid(&format!(
        "{STORE}[jobs.a]\nplugin = \"a.wasm\"\nlock = [\"team/w\", {{ name = \"team/p\", of = 3 }}]\n\
         [plugins]\ndir = \"plugins\"\nlocks = [\"team/*\"]\n"
    ));
    let clashes = |sidecar: &str| config.with_dropped([joins(&config, "", sidecar)]).1;
    assert_eq!(
        clashes("lock = [\"dropped.book\", { name = \"team/w\", mode = \"shared\" }]"),
        []
    );
    let differs = clashes("lock = { name = \"team/p\", of = 4 }");
    assert!(
        matches!(differs[..], [Clash::Capacity { .. }]),
        "{differs:?}"
    );
    assert_snapshot!("capacity_clash", differs[0].to_string());
    let nested = clashes("lock = [\"dropped.book\", \"team/w/x\"]");
    assert!(matches!(nested[..], [Clash::Lock { .. }]), "{nested:?}");
    assert_snapshot!(
        "lock_of_no_policy",
        refused(
            &config,
            "",
            "lock = [\"team/w\", \"other\", \"dropped.book\"]"
        )
    );
}
