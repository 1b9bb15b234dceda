//! Every limit of a run, reached by a guest. `load.rs` has the limits of the loader.

use super::*;
use leasehold_config::LimitKey;

async fn dies_of(rig: &Rig, wat: &str, limit: LimitKey) -> RunReport {
    let report = rig.run(wat).await.report;
    match &report.end {
        RunEnd::Limit {
            limit: found,
            message,
        } if *found == limit => {
            let remedy = format!("raise `{}` in [jobs.demo.limits]", limit.as_str());
            assert!(message.ends_with(&remedy), "{message}");
        }
        other => panic!("{other:?}"),
    }
    rig.still_works().await;
    report
}

/// Makes a guest that grows memory `m` by one page at a time and traps when refused.
fn memory_bomb() -> String {
    guests::bare(
        "(memory $m 1)",
        "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow $m (i32.const 1))))) unreachable",
    )
}

/// Makes a guest like [`memory_bomb`], of modules with one memory each, which are grown in turns.
fn memories_bomb(memories: u32) -> String {
    let (mut instances, mut with, mut imports, mut grow) = Default::default();
    let all: &mut [&mut String] = &mut [&mut instances, &mut with, &mut imports, &mut grow];
    for n in 0..memories {
        let parts = [
            format!("(core instance $i{n} (instantiate $m))"),
            format!(r#"(with "m{n}" (instance $i{n}))"#),
            format!(r#"(import "m{n}" "grow" (func $grow{n} (result i32)))"#),
            format!("(br_if $full (i32.eq (i32.const -1) (call $grow{n})))"),
        ];
        for (text, part) in all.iter_mut().zip(parts) {
            text.push_str(&part);
        }
    }
    format!(
        r#"(component
        (core module $m (memory 1)
            (func (export "grow") (result i32) (memory.grow (i32.const 1))))
        {instances}
        (core module $r {imports}
            (func (export "run") (result i32)
                (block $full (loop $more {grow} (br $more))) unreachable))
        (core instance $i (instantiate $r {with}))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $cli (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $cli)))"#
    )
}

#[tokio::test]
async fn memory_is_capped_and_the_death_is_explained() {
    let mut rig = Rig::new();
    rig.limits.memory_bytes = 1 << 20;
    let report = dies_of(&rig, &memory_bomb(), LimitKey::Memory).await;
    assert_eq!(report.peak_memory_bytes, 1 << 20);
}

#[tokio::test]
async fn many_memories_share_one_cap() {
    let mut rig = Rig::new();
    rig.limits.memory_bytes = 1 << 20;
    let report = dies_of(&rig, &memories_bomb(4), LimitKey::Memory).await;
    // The pool has no room for four memories, so this guest is on the on-demand engine.
    assert!(!rig.load(&memories_bomb(4)).await.facts().pooled);
    assert!(report.peak_memory_bytes <= 1 << 20);
}

#[tokio::test]
async fn tables_are_capped() {
    let mut rig = Rig::new();
    rig.limits.table_elements = 1_000;
    let bomb = guests::bare(
        "(table 1 funcref)",
        "(loop (br_if 0 (i32.ne (i32.const -1) (table.grow (ref.null func) (i32.const 10))))) unreachable",
    );
    dies_of(&rig, &bomb, LimitKey::Tables).await;
}

#[tokio::test]
async fn instances_are_capped() {
    let mut rig = Rig::new();
    rig.limits.instances = 3;
    let many = r#"(component
        (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m))
        (core instance (instantiate $m)) (core instance (instantiate $m))
        (core module $r (func (export "run") (result i32) (i32.const 0)))
        (core instance $i (instantiate $r))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $cli (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $cli)))"#;
    dies_of(&rig, many, LimitKey::Instances).await;
}

/// Makes a guest that recurses `depth` deep with a frame of a few words.
fn recursion(depth: u32) -> String {
    guests::bare(
        "(func $f (param i32) (result i64) (if (result i64) (local.get 0)
            (then (i64.mul (i64.extend_i32_u (local.get 0)) (call $f (i32.sub (local.get 0) (i32.const 1)))))
            (else (i64.const 1))))",
        &format!("(drop (call $f (i32.const {depth})))"),
    )
}

#[tokio::test]
async fn the_stack_is_capped_and_the_cap_can_be_raised() {
    let mut rig = Rig::new();
    dies_of(&rig, &recursion(1_000_000_000), LimitKey::Stack).await;
    dies_of(&rig, &recursion(100_000), LimitKey::Stack).await;
    rig.limits.stack_bytes = 64 << 20;
    let ran = rig.run(&recursion(100_000)).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
}

#[tokio::test]
async fn bytes_moved_by_one_host_call_are_capped() {
    let mut rig = Rig::new();
    rig.limits.host_call_bytes = 4_000;
    let body = "(call $progress (i64.const 1) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 5000)) (i32.const 512)";
    dies_of(&rig, &guests::job("", body), LimitKey::HostCall).await;
}

#[tokio::test]
async fn handles_are_capped() {
    let mut rig = Rig::new();
    rig.limits.handles = 50;
    let body = "(loop (drop (call $stdout)) (br 0)) (i32.const 512)";
    let report = dies_of(&rig, &guests::job("", body), LimitKey::Handles).await;
    assert!(report.admitted >= 50, "calls of WASI are counted too");
}

#[tokio::test]
async fn random_bytes_per_call_are_capped() {
    let mut rig = Rig::new();
    rig.limits.random_bytes = 1_000;
    let ask = |n: u32| {
        guests::command(
            "",
            &format!("(drop (call $random (i32.const 0) (i32.const {n})))"),
        )
    };
    assert_eq!(rig.run(&ask(1_000)).await.report.end, RunEnd::Done(None));
    dies_of(&rig, &ask(1_001), LimitKey::Random).await;
}

#[tokio::test]
async fn a_trap_is_told_by_its_kind() {
    let rig = Rig::new();
    for (body, kind) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.load (i32.const 1000000)))", "memory-access"),
        (
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
            "arithmetic",
        ),
    ] {
        let ran = rig.run(&guests::bare("(memory 1)", body)).await;
        assert!(
            matches!(&ran.report.end, RunEnd::Trap { kind: found, .. } if *found == kind),
            "{:?}",
            ran.report.end
        );
        assert!(ran.report.backtrace.is_some());
    }
    rig.still_works().await;
}

#[tokio::test]
async fn a_trap_deep_in_the_guest_names_the_functions_it_happened_in() {
    let rig = Rig::new();
    let deep = guests::bare(
        "(func $inner unreachable) (func $outer (call $inner))",
        "(call $outer)",
    );
    let ran = rig.run(&deep).await;
    let trace = ran.report.backtrace.unwrap();
    assert!(trace.starts_with("inner\nouter\n"), "{trace}");
}

/// Compilers keep the larger part of a guest's stack in its memory. For the engine, an overflow there is
/// only an access out of bounds.
#[tokio::test]
async fn endless_recursion_out_of_stack_is_explained() {
    let rig = Rig::new();
    let dive = guests::bare(
        "(memory 1) (global $sp (mut i32) (i32.const 4096))
        (func $dive (global.set $sp (i32.sub (global.get $sp) (i32.const 64)))
            (i32.store (global.get $sp) (i32.const 1)) (call $dive))",
        "(call $dive)",
    );
    match rig.run(&dive).await.report.end {
        RunEnd::Trap { kind, message } => {
            assert_eq!(kind, "memory-access");
            assert!(
                message.contains("dive calls itself without end"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// A bug in the host ends one run, not the process.
#[tokio::test]
async fn a_panic_in_a_host_function_ends_that_run_alone() {
    let rig = Rig::new();
    let fake_kv = FakeKv {
        on_check: Some(Box::new(|| panic!("on purpose"))),
        ..FakeKv::default()
    };
    let plugin = rig
        .load(&guests::job(
            "",
            "(call $check (i32.const 256)) (i32.const 512)",
        ))
        .await;
    let authority = authority_with(lasting(Duration::from_mins(1)), Arc::new(fake_kv));
    let ran = rig.run_plugin(&plugin, authority, spec()).await;
    assert!(matches!(
        ran.report.end,
        RunEnd::Trap {
            kind: "host-panic",
            ..
        }
    ));
    rig.still_works().await;
}

#[tokio::test]
async fn limit_of_a_dropped_in_guest_is_raised_in_its_sidecar() {
    let mut rig = Rig::new();
    rig.job = JobSource::dropped("demo", Path::new("plugins/demo.wasm"));
    let RunEnd::Limit { message, .. } = rig.run(&memory_bomb()).await.report.end else {
        panic!("no limit ended it");
    };
    insta::assert_snapshot!(message, @"wasm `unreachable` instruction executed: raise `memory` under [limits] in plugins/demo.toml, and in [plugins.limits] if that allows less");
}
