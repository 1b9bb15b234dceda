//! The three forms of plugins, and the environment of each.

use super::*;

#[tokio::test]
async fn a_preview_1_command_keeps_its_exit_code() {
    let rig = Rig::new();
    let ran = rig.run(guests::EXIT_3).await;
    assert_eq!(ran.report.end, RunEnd::Exit(3));
    assert_eq!(ran.report.admitted, 1);
    assert!(ran.report.last_admitted.is_some());
    rig.runtime.shutdown();
}

#[tokio::test]
async fn preview1_command_sees_its_lock_over_configured_variables() {
    let rig = Rig::new();
    let body = r"(drop (call $environ_sizes (i32.const 16) (i32.const 20)))
        (drop (call $environ (i32.const 2048) (i32.const 4096)))
        (i32.store (i32.const 0) (i32.const 4096))
        (i32.store (i32.const 4) (i32.load (i32.const 20)))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (drop (call $args (i32.const 2048) (i32.const 4096)))
        (i32.store (i32.const 4) (i32.const 12))
        (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))";
    let ran = rig.run(&guests::command("", body)).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    let lines = ran.lines();
    let pairs: Vec<_> = lines[0].text.split(char::REPLACEMENT_CHARACTER).collect();
    for pair in [
        "COLOUR=blue",
        "LEASEHOLD_JOB=demo",
        "LEASEHOLD_LOCK=team/demo",
        "LEASEHOLD_TOKEN=1",
        "LEASEHOLD_RUN_ID=run-1",
        r#"LEASEHOLD_CONFIG={"a":1}"#,
        "ETCD_LOCK_KEY=/leasehold/locks/team/demo/fake",
        "ETCD_LOCK_REV=1",
    ] {
        assert!(pairs.contains(&pair), "{pair} in {pairs:?}");
    }
    assert!(!lines[0].text.contains("999"), "{}", lines[0].text);
    assert_eq!(lines[1].text, "demo�--once�");
    assert_eq!(lines[1].stream, Stream::Stderr);
}

#[tokio::test]
async fn a_preview_1_command_is_given_no_directory() {
    let rig = Rig::new();
    // Descriptor 3 would be the first directory; 8 is "bad descriptor".
    let body = r"(if (i32.ne (i32.const 8) (call $path_open (i32.const 3) (i32.const 0)
            (i32.const 1024) (i32.const 1) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 64)))
        (then unreachable))";
    let ran = rig.run(&guests::command(".", body)).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
}

#[tokio::test]
async fn a_command_component_exits_with_what_run_returned() {
    let rig = Rig::new();
    let good = rig.run(&guests::cli_run("", "(i32.const 0)")).await;
    assert_eq!(good.report.end, RunEnd::Done(None));
    let bad = rig.run(&guests::cli_run("", "(i32.const 1)")).await;
    assert_eq!(bad.report.end, RunEnd::Exit(1));
}

#[tokio::test]
async fn facts_tell_what_was_loaded() {
    let rig = Rig::new();
    let plugin = rig.load(&guests::job("", "(i32.const 512)")).await;
    let facts = plugin.facts();
    assert_eq!(facts.form, Form::Job);
    assert_eq!(facts.contract.as_deref(), Some("1.0.0"));
    assert_eq!(facts.memory_minimum_bytes, 2 * 65_536);
    assert_eq!(facts.sha256.len(), 64);
    assert!(
        facts
            .imports
            .contains(&"leasehold:job/lock@1.0.0".to_owned())
    );
    assert!(facts.pooled);
    assert_eq!(
        rig.load(guests::EXIT_3).await.facts().form,
        Form::CoreCommand
    );
    let command = rig.load(&guests::cli_run("", "(i32.const 0)")).await;
    assert_eq!(command.facts().form, Form::Command);
}

#[tokio::test]
async fn job_for_a_later_minor_version_runs_without_new_functions() {
    let rig = Rig::new();
    let ran = rig.run(&guests::job_for("1.4.2")).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
}

#[tokio::test]
async fn core_module_with_component_types_becomes_a_component() {
    let rig = Rig::new();
    let shape = wat::parse_str(guests::job("", "(i32.const 512)")).unwrap();
    let wit_component::DecodedWasm::Component(resolve, world) =
        wit_component::decode(&shape).unwrap()
    else {
        panic!("not a component");
    };
    let mut core = wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "leasehold:job/lock@1.0.0" "token" (func $token (result i64)))
            (memory (export "memory") 2)
            (data (i32.const 64) "made whole\n")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "leasehold:job/guest@1.0.0#run") (result i32)
                (if (i64.ne (call $token) (i64.const 1)) (then unreachable))
                (i32.store (i32.const 0) (i32.const 64))
                (i32.store (i32.const 4) (i32.const 11))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (i32.const 512)))"#,
    )
    .unwrap();
    wit_component::embed_component_metadata(
        &mut core,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    let plugin = rig.load_bytes(&core).await.unwrap();
    assert_eq!(plugin.facts().form, Form::Job);
    let long = authority(lasting(Duration::from_mins(1)));
    let ran = rig.run_plugin(&plugin, long, spec()).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    assert_eq!(ran.report.output, "made whole\n");
}

#[tokio::test]
async fn guests_run_on_demand_when_the_pool_cannot_be_reserved() {
    // More address space than the machine has.
    let rig = Rig::with(&RuntimeOptions {
        max_runs: 1_000,
        pool_memory_reservation: Some(1 << 42),
        preparing: Preparing::InThisProcess,
        ..RuntimeOptions::default()
    });
    assert!(!rig.load(guests::EXIT_3).await.facts().pooled);
    rig.still_works().await;
}

#[tokio::test]
async fn a_job_above_the_pools_sizes_gets_an_engine_of_its_own() {
    let mut rig = Rig::new();
    rig.limits.memory_bytes = 1 << 30;
    assert!(!rig.load(guests::EXIT_3).await.facts().pooled);
    rig.still_works().await;
}

#[tokio::test]
async fn a_second_load_is_served_by_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let options = RuntimeOptions {
        cache_dir: Some(cache.path().join("cache")),
        max_runs: 2,
        preparing: Preparing::InThisProcess,
        ..RuntimeOptions::default()
    };
    let rig = Rig::with(&options);
    rig.still_works().await;
    rig.still_works().await;
    assert!(rig.runtime.cache_hits() > 0);
}

#[tokio::test]
async fn exit_codes_of_a_command_are_kept_without_backtrace() {
    let rig = Rig::new();
    for code in [0, 1, 125, 126, 127, 255, 256, -1, i32::MIN] {
        let text = guests::EXIT_3.replace("i32.const 3)", &format!("i32.const {code})"));
        let ran = rig.run(&text).await;
        let expected = match code {
            0 => RunEnd::Done(None),
            code => RunEnd::Exit(code),
        };
        assert_eq!(ran.report.end, expected);
        assert_eq!(ran.report.backtrace, None);
    }
}
