//! Promise P2 in the middle of a host call. The host's own work for one call is bounded, or done in pieces that check
//! the leash. Each guest here repeats the most expensive call of its kind.

use super::*;

/// Length of the tenure, which is enough for the guest to be in the middle of its calls.
const SHORT: Duration = Duration::from_millis(150);
/// Bound of twenty times the default stop margin, because machines that run tests are slow and shared.
const SLACK: Duration = Duration::from_secs(5);
/// Number of lines that fit the longest secret.
const LINES: usize = 7_200;

/// Runs the guest until its tenure ends, and prints the time from that end until the guest was dropped.
async fn is_stopped(rig: &Rig, kind: &str, wat: &str, spec: RunSpec) -> Ran {
    let ran = rig.run_for(wat, SHORT, spec).await;
    let late = ran.report.stopped_at.since(ran.report.deadline);
    println!(
        "{kind:36} gone {late:?} after the loss, {} calls",
        ran.report.admitted
    );
    assert!(
        matches!(ran.report.end, RunEnd::Lost(_)),
        "{kind}: {:?}",
        ran.report.end
    );
    assert!(late < SLACK, "{kind}: {late:?}");
    nothing_after_the_deadline(&ran, ran.report.deadline);
    ran
}

fn with_secret(lines: usize) -> RunSpec {
    let lines: Vec<String> = (0..lines).map(|n| format!("line-{n:04}")).collect();
    let lines = lines.join("\n");
    let secret: String = lines.chars().take(64 * 1024).collect();
    RunSpec {
        secrets: Secrets::of(&[("pem", &secret)]),
        ..spec()
    }
}

/// Makes a command that writes `bytes` bytes, all of them `byte`, in one call, again and again.
fn writer(byte: u8, bytes: usize) -> String {
    let pages = bytes.div_ceil(65_536) + 1;
    format!(
        r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") {pages})
    (func (export "_start")
        (memory.fill (i32.const 65536) (i32.const {byte}) (i32.const {bytes}))
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const {bytes}))
        (loop
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br 0))))"#
    )
}

/// Largest number of bytes that one call may move, less the bytes that the call itself takes.
const MOST: usize = (4 << 20) - 1024;

#[tokio::test]
async fn longest_write_of_output_ends_when_the_lock_is_lost() {
    let mut rig = Rig::new();
    for lines in [0, 102, LINES] {
        let kind = format!("fd_write, newlines, {lines} secret lines");
        is_stopped(&rig, &kind, &writer(b'\n', MOST), with_secret(lines)).await;
        let kind = format!("fd_write, one line, {lines} secret lines");
        is_stopped(&rig, &kind, &writer(b'l', MOST), with_secret(lines)).await;
    }
    rig.limits.output_bytes = 64 << 20;
    is_stopped(
        &rig,
        "fd_write, all of it kept",
        &writer(b'\n', MOST),
        with_secret(102),
    )
    .await;
    rig.still_works().await;
}

#[tokio::test]
async fn a_timeout_in_the_middle_of_a_write_is_a_timeout() {
    let rig = Rig::new();
    let spec = RunSpec {
        timeout: Some(SHORT),
        ..with_secret(LINES)
    };
    let ran = rig
        .run_for(&writer(b'\n', MOST), Duration::from_mins(1), spec)
        .await;
    assert_eq!(ran.report.end, RunEnd::TimedOut);
}

/// Makes a command with a memory of 32 MiB whose `_start` repeats `call`.
fn repeats(imports: &str, call: &str) -> String {
    format!(
        r#"(module {imports} (memory (export "memory") 512)
    (table 20000 funcref)
    (func (export "_start") (loop {call} (br 0))))"#
    )
}

fn preview1(name: &str, shape: &str) -> String {
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $call {shape}))"#)
}

#[tokio::test]
async fn dearest_preview1_calls_end_within_the_margin() {
    let rig = Rig::new();
    // Subscriptions to a clock, as many as the handles suffice for: each takes two.
    let poll = preview1("poll_oneoff", "(param i32 i32 i32 i32) (result i32)");
    let call =
        "(drop (call $call (i32.const 65536) (i32.const 8388608) (i32.const 400) (i32.const 8)))";
    is_stopped(
        &rig,
        "poll_oneoff, 400 clocks",
        &repeats(&poll, call),
        spec(),
    )
    .await;
    let recv = preview1("sock_recv", "(param i32 i32 i32 i32 i32 i32) (result i32)");
    let call = "(drop (call $call (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 16)))";
    is_stopped(&rig, "sock_recv", &repeats(&recv, call), spec()).await;
    // All buffers are empty, so the host looks at each of them.
    let write = preview1("fd_write", "(param i32 i32 i32 i32) (result i32)");
    let call =
        "(drop (call $call (i32.const 1) (i32.const 65536) (i32.const 500000) (i32.const 8)))";
    is_stopped(
        &rig,
        "fd_write, 500,000 empty buffers",
        &repeats(&write, call),
        spec(),
    )
    .await;
    let environ = preview1("environ_get", "(param i32 i32) (result i32)");
    let call = "(drop (call $call (i32.const 65536) (i32.const 1048576)))";
    let large = RunSpec {
        config_json: "x".repeat(1 << 20),
        ..spec()
    };
    is_stopped(&rig, "environ_get, 1 MiB", &repeats(&environ, call), large).await;
    let random = preview1("random_get", "(param i32 i32) (result i32)");
    let call = "(drop (call $call (i32.const 65536) (i32.const 65536)))";
    is_stopped(&rig, "random_get, 64 KiB", &repeats(&random, call), spec()).await;
}

#[tokio::test]
async fn the_dearest_call_on_a_directory_ends_within_the_margin() {
    let mut rig = Rig::new();
    let many = rig.dir.path().join("many");
    std::fs::create_dir(&many).unwrap();
    for n in 0..5_000 {
        std::fs::write(many.join(format!("file-{n:05}")), b"").unwrap();
    }
    std::fs::write(many.join("large"), vec![b'x'; 8 << 20]).unwrap();
    rig.grants.dirs = vec![leasehold_config::allow::Dir {
        guest: "/many".to_owned(),
        host: many,
        write: true,
    }];
    let readdir = preview1("fd_readdir", "(param i32 i32 i32 i64 i32) (result i32)");
    let call = "(drop (call $call (i32.const 3) (i32.const 65536) (i32.const 1048576) (i64.const 0) (i32.const 8)))";
    is_stopped(
        &rig,
        "fd_readdir, 5,000 names",
        &repeats(&readdir, call),
        spec(),
    )
    .await;
    let open = preview1(
        "path_open",
        "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
    );
    let path = |fill: &str, length: usize| {
        format!(
            "(memory.fill (i32.const 65536) (i32.const {fill}) (i32.const {length}))
            (drop (call $call (i32.const 3) (i32.const 1) (i32.const 65536) (i32.const {length}) (i32.const 0)
                (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 8)))"
        )
    };
    for (fill, kind) in [("97", "letters"), ("46", "dots"), ("47", "slashes")] {
        let wat = repeats(&open, &path(fill, 4_000_000));
        is_stopped(&rig, &format!("path_open, 4 MB of {kind}"), &wat, spec()).await;
    }
    // A path of repeated "a/../", each part of which may be looked up.
    let steps = "(local $at i32)
        (loop $fill
            (i32.store (i32.add (i32.const 65536) (local.get $at)) (i32.const 0x2f2e2f2e))
            (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 4000000))))";
    let call = "(drop (call $call (i32.const 3) (i32.const 1) (i32.const 65536) (i32.const 4000000) (i32.const 0)
                (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 8)))";
    let wat = format!(
        r#"(module {open} (memory (export "memory") 512) (func (export "_start") {steps} (loop {call} (br 0))))"#
    );
    is_stopped(&rig, "path_open, 2,000,000 steps", &wat, spec()).await;
}

#[tokio::test]
async fn the_dearest_instruction_ends_within_the_margin() {
    let rig = Rig::new();
    let fill = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))";
    is_stopped(&rig, "memory.fill, 32 MiB", &repeats("", fill), spec()).await;
    let copy = "(memory.copy (i32.const 1) (i32.const 0) (i32.const 33554431))";
    is_stopped(&rig, "memory.copy, 32 MiB", &repeats("", copy), spec()).await;
    let straight = fill.repeat(2_000);
    is_stopped(
        &rig,
        "2,000 fills without a loop",
        &repeats("", &straight),
        spec(),
    )
    .await;
    let table = "(table.fill (i32.const 0) (ref.null func) (i32.const 20000))";
    is_stopped(&rig, "table.fill, 20,000", &repeats("", table), spec()).await;
    // Each level of the recursion fills the memory once more when it returns.
    let deep = guests::bare(
        "(memory 512) (func $deep (param i32)
            (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432)))",
        "(call $deep (i32.const 5000))",
    );
    is_stopped(&rig, "5,000 fills on the way back", &deep, spec()).await;
}

#[tokio::test]
async fn dearest_contract_calls_end_within_the_margin() {
    let rig = Rig::new();
    let grow = "(drop (memory.grow (i32.const 200)))";
    let log = format!("{grow} (memory.fill (i32.const 65536) (i32.const 108) (i32.const {MOST}))
        (loop (call $log (i32.const 2) (i32.const 65536) (i32.const {MOST}) (i32.const 0) (i32.const 0)) (br 0)) (i32.const 512)");
    is_stopped(
        &rig,
        "log, 4 MB",
        &guests::job("", &log),
        with_secret(LINES),
    )
    .await;
    let fields = format!(
        "{grow} (loop (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 131072) (i32.const 80000)) (br 0)) (i32.const 512)"
    );
    is_stopped(
        &rig,
        "log, 80,000 empty fields",
        &guests::job("", &fields),
        with_secret(LINES),
    )
    .await;
    let progress = format!(
        "{grow} (loop (call $progress (i64.const 1) (i32.const 0) (i64.const 0) (i32.const 65536) (i32.const {MOST})) (br 0)) (i32.const 512)"
    );
    is_stopped(
        &rig,
        "progress, 4 MB",
        &guests::job("", &progress),
        with_secret(LINES),
    )
    .await;
}

/// Makes a component whose inner parts pass a string of `units` UTF-16 code units, which the receiver takes as UTF-8.
fn transcodes(units: usize) -> String {
    let bytes = units * 2;
    // Each unit here takes three bytes in the receiver.
    let (ours, theirs) = (bytes / 65_536 + 1, units * 3 / 65_536 + 1);
    format!(
        r#"(component
    (component $inner
        (core module $m (memory (export "memory") {theirs})
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))
            (func (export "take") (param i32 i32)))
        (core instance $i (instantiate $m))
        (func (export "take") (param "text" string)
            (canon lift (core func $i "take") (memory $i "memory") (realloc (func $i "realloc")))))
    (component $outer
        (import "take" (func $take (param "text" string)))
        (core module $libc (memory (export "memory") {ours}))
        (core instance $libc (instantiate $libc))
        (core func $lowered (canon lower (func $take) (memory $libc "memory") string-encoding=utf16))
        (core module $m (import "libc" "memory" (memory 0)) (import "inner" "take" (func $take (param i32 i32)))
            (func (export "run") (result i32)
                (memory.fill (i32.const 0) (i32.const 78) (i32.const {bytes}))
                (loop (call $take (i32.const 0) (i32.const {units})) (br 0)) (i32.const 0)))
        (core instance $i (instantiate $m (with "libc" (instance $libc))
            (with "inner" (instance (export "take" (func $lowered))))))
        (func (export "run") (result (result)) (canon lift (core func $i "run"))))
    (instance $inner (instantiate $inner))
    (instance $outer (instantiate $outer (with "take" (func $inner "take"))))
    (alias export $outer "run" (func $run))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $cli)))"#
    )
}

#[tokio::test]
async fn longest_text_between_components_ends_within_the_margin() {
    let rig = Rig::new();
    let wat = transcodes(12 << 20);
    is_stopped(&rig, "24 MiB of UTF-16 to UTF-8", &wat, spec()).await;
}
