//! Every reason to refuse a plugin, with its message.

use std::fmt::Write;

use super::*;

/// Loads `bytes` and returns the refusal, with the directory replaced.
async fn refusal(rig: &Rig, bytes: &[u8]) -> String {
    said(rig, &rig.load_bytes(bytes).await.unwrap_err())
}

fn said(rig: &Rig, error: &LoadError) -> String {
    error
        .to_string()
        .replace(&rig.dir.path().display().to_string(), "DIR")
}

#[tokio::test]
async fn bytes_that_are_not_a_plugin_are_refused_with_the_remedy() {
    let rig = Rig::new();
    let whole = wat::parse_str(guests::EXIT_3).unwrap();
    let mut all = String::new();
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("text", b"\n  (module)"),
        ("script", b"#!/bin/sh\necho hello"),
        ("program", b"\x7fELF\x02\x01\x01\0rest of a program"),
        ("cut in the magic", b"\0as"),
        ("cut after the magic", b"\0asm"),
        ("cut", &whole[..whole.len() - 5]),
        ("unknown version", b"\0asm\x09\0\0\0"),
        ("garbage in a section", b"\0asm\x01\0\0\0\x01\x02\xff\xff"),
    ] {
        let _ = writeln!(all, "{what}: {}", refusal(&rig, bytes).await);
    }
    insta::assert_snapshot!(all);
    rig.still_works().await;
}

#[tokio::test]
async fn precompiled_code_is_refused() {
    let rig = Rig::new();
    let code = rig
        .runtime
        .precompile(&wat::parse_str(guests::EXIT_3).unwrap());
    insta::assert_snapshot!(refusal(&rig, &code).await);
}

#[tokio::test]
async fn modules_that_do_not_fit_are_refused_with_the_remedy() {
    let rig = Rig::new();
    let mut all = String::new();
    for (what, wat) in [
        ("nothing exported", "(module)".to_owned()),
        ("library", r#"(module (func (export "add")) (func (export "sub")))"#.to_owned()),
        ("component of something else", r#"(component (core module $m) (export "m" (core module $m)))"#.to_owned()),
        ("contract 2", guests::job_for("2.0.0")),
        ("contract 0", guests::job_for("0.9.0")),
        ("import of contract 2", importing("leasehold:job/lock@2.1.0", "")),
        ("not granted", guests::kv_job("", "(i32.const 512)")),
        ("requests not granted", importing("wasi:http/outgoing-handler@0.2.3", "")),
        ("receiving requests", importing("wasi:http/incoming-handler@0.2.3", "")),
        ("newer interface", importing("leasehold:job/barrier@1.3.0", "")),
        ("newer function", importing("leasehold:job/lock@1.7.0", r#"(export "stolen" (func))"#)),
        ("http", importing("wasi:http/outgoing-handler@0.2.0", "")),
        ("wasi 0.3", importing("wasi:cli/environment@0.3.0", "")),
        ("foreign", importing("acme:queue/send@1.0.0", "")),
        ("env", r#"(module (import "env" "f" (func)) (func (export "_start")))"#.to_owned()),
        ("browser", r#"(module (import "wbg" "f" (func)) (func (export "_start")))"#.to_owned()),
        ("old wasi", r#"(module (import "wasi_unstable" "proc_exit" (func (param i32))) (func (export "_start")))"#.to_owned()),
        ("unknown function", r#"(module (import "wasi_snapshot_preview1" "fork" (func)) (memory (export "memory") 1) (func (export "_start")))"#.to_owned()),
        ("wrong type", r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func)) (memory (export "memory") 1) (func (export "_start")))"#.to_owned()),
        ("64-bit memory", r#"(module (memory i64 1) (func (export "_start")))"#.to_owned()),
        ("shared memory", r#"(module (memory 1 2 shared) (func (export "_start")))"#.to_owned()),
        ("large memory", r#"(module (memory 2000) (func (export "_start")))"#.to_owned()),
        ("invalid code", r#"(module (func (export "_start") (i32.add)))"#.to_owned()),
    ] {
        let bytes = wat::parse_str(&wat).unwrap();
        let _ = writeln!(all, "{what}: {}", refusal(&rig, &bytes).await);
    }
    insta::assert_snapshot!(all);
    rig.still_works().await;
}

/// Makes a command component that imports one instance.
fn importing(name: &str, items: &str) -> String {
    guests::cli_run("", "(i32.const 0)").replacen(
        "(component",
        &format!(r#"(component (import "{name}" (instance {items}))"#),
        1,
    )
}

#[tokio::test]
async fn missing_special_large_or_unpinned_files_are_refused() {
    let mut rig = Rig::new();
    let mut all = String::new();
    let missing = rig.dir.path().join("missing.wasm");
    let pipe = rig.dir.path().join("pipe.wasm");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let directory = rig.dir.path().to_owned();
    for (what, path) in [
        ("missing", missing),
        ("pipe", pipe),
        ("directory", directory),
    ] {
        let load = rig.load_file(&path, None);
        let _ = writeln!(all, "{what}: {}", said(&rig, &load.await.unwrap_err()));
    }
    let whole = rig.file("whole.wasm", &wat::parse_str(guests::EXIT_3).unwrap());
    let pinned = rig.load_file(&whole, Some([0xab; 32]));
    let _ = writeln!(all, "pinned: {}", said(&rig, &pinned.await.unwrap_err()));
    rig.limits.plugin_bytes = 16;
    let large = rig.load_file(&whole, None);
    let _ = writeln!(all, "large: {}", said(&rig, &large.await.unwrap_err()));
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn plugin_slow_to_compile_is_refused_and_others_load() {
    let mut rig = Rig::new();
    let mut bomb =
        String::from("(module (func (export \"_start\")) (func $f (param i64) (result i64)");
    bomb.push_str("(local.get 0)");
    for n in 0..200_000 {
        let _ = write!(bomb, "(i64.const {n}) i64.xor (local.get 0) i64.mul ");
    }
    bomb.push_str("))");
    let bomb = wat::parse_str(&bomb).unwrap();
    let patient = rig.limits.clone();
    rig.limits.compile_time = Duration::from_millis(5);
    insta::assert_snapshot!(refusal(&rig, &bomb).await);
    rig.limits = patient;
    rig.still_works().await;
}

#[tokio::test]
async fn pinned_file_is_loaded_and_a_later_swap_has_no_effect() {
    use sha2::Digest;

    let rig = Rig::new();
    let bytes = wat::parse_str(guests::EXIT_3).unwrap();
    let digest: [u8; 32] = sha2::Sha256::digest(&bytes).into();
    let path = rig.file("pinned.wasm", &bytes);
    let plugin = rig.load_file(&path, Some(digest)).await.unwrap();
    rig.file("pinned.wasm", b"something else");
    let long = authority(lasting(Duration::from_mins(1)));
    let ran = rig.run_plugin(&plugin, long, spec()).await;
    assert_eq!(ran.report.end, RunEnd::Exit(3));
}

#[tokio::test]
async fn jobs_of_one_plugin_share_its_code_and_keep_their_own_names() {
    let mut rig = Rig::new();
    let file = rig.file("same.wasm", &wat::parse_str(guests::EXIT_3).unwrap());
    let first = rig.load_file(&file, None).await.unwrap();
    rig.job = JobSource::table("two");
    let second = rig.load_file(&file, None).await.unwrap();
    assert!(std::ptr::eq(first.ready(), second.ready()));
    assert_eq!(second.facts().job, "two");
}

/// Fails if remedies are searched and replaced in the text of an error: the guest's own words change then.
#[tokio::test]
async fn dropped_in_plugin_gets_its_own_remedy_and_keeps_its_words() {
    let mut rig = Rig::new();
    rig.job = JobSource::dropped("demo", Path::new("plugins/demo.wasm"));
    let mut all = String::new();
    for wat in [
        r#"(module (memory 2000) (func (export "_start")))"#,
        r#"(module (import "raise `memory` in [jobs.demo.limits]" "f" (func)) (func (export "_start")))"#,
        r#"(module (import "add it under [jobs.demo.allow]" "f" (func)) (func (export "_start")))"#,
    ] {
        let bytes = wat::parse_str(wat).unwrap();
        let _ = writeln!(all, "{}", refusal(&rig, &bytes).await);
    }
    insta::assert_snapshot!(all, @"
    job demo: plugin DIR/plugin.wasm: needs 131072000 bytes of memory to start, job demo may use 67108864: raise `memory` under [limits] in plugins/demo.toml, and in [plugins.limits] if that allows less
    job demo: plugin DIR/plugin.wasm: imports raise `memory` in [jobs.demo.limits], which this host does not offer: a plain command may import wasi_snapshot_preview1 only
    job demo: plugin DIR/plugin.wasm: imports add it under [jobs.demo.allow], which this host does not offer: a plain command may import wasi_snapshot_preview1 only
    ");
}
