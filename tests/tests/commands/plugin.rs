//! `leasehold plugin inspect` and `plugin run` on plugins that were built.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::guests;

use crate::room::Room;
use leasehold_tests::command::CommandOutput;

fn expect_output(output: &CommandOutput, code: i32, words: &[&str]) -> Result<()> {
    println!("{}\n{}", output.stdout, output.stderr);
    ensure!(output.code == Some(code), "{output:?}");
    let all = format!("{}\n{}", output.stdout, output.stderr);
    let flat = all.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        ensure!(flat.contains(word), "not told: {word}\n{all}");
    }
    Ok(())
}

/// The state of each import in the output of `inspect --format json`.
fn imports(output: &CommandOutput) -> Result<BTreeMap<String, serde_json::Value>> {
    let json: serde_json::Value = serde_json::from_str(&output.stdout)?;
    let imports = json["plugin"]["imports"].as_array().cloned();
    let named = imports.unwrap_or_default().into_iter().map(|import| {
        let name = import["name"].as_str().unwrap_or_default();
        let name = name.split('@').next().unwrap_or_default();
        (name.to_owned(), import)
    });
    Ok(named.collect())
}

#[test]
fn inspect_lists_imports_against_grants() -> Result<()> {
    let room = Room::new("[jobs.book]\nplugin = \"ledger.wasm\"\nallow.kv = [\"ledger/\"]\n")?;
    room.plugin("ledger.wasm", &guests::ledger()?, "")?;
    let inspect = |more: &[&str]| {
        let args = ["plugin", "inspect", "ledger.wasm", "--job", "book"];
        room.run(&[&args, more].concat())
    };
    expect_output(
        &inspect(&["--compile"])?,
        0,
        &[
            "form job component",
            "contract leasehold:job@1.",
            "compiled was not in the cache: compiled in",
            "always there",
        ],
    )?;
    let again = inspect(&["--compile"])?;
    expect_output(&again, 0, &["compiled was in the cache: loaded in"])?;
    let states = imports(&inspect(&["--format", "json"])?)?;
    ensure!(
        states["leasehold:job/lock"]["state"] == "always",
        "{states:?}"
    );
    let kv = &states["leasehold:job/fenced-kv"];
    ensure!(kv["state"] == "granted", "{kv}");
    let unknown = room.run(&["plugin", "inspect", "ledger.wasm", "--job", "nobody"])?;
    expect_output(&unknown, 2, &["has no job `nobody`; its jobs are: book"])
}

#[test]
fn inspect_lists_missing_grants_with_the_line_to_add() -> Result<()> {
    let room = Room::new("[jobs.book]\nplugin = \"hello.wasm\"\n")?;
    room.plugin("hello.wasm", &guests::c_hello()?, "")?;
    room.plugin("ledger.wasm", &guests::ledger()?, "")?;
    let output = room.run(&[
        "plugin",
        "inspect",
        "ledger.wasm",
        "--job",
        "book",
        "--format",
        "json",
    ])?;
    ensure!(output.code == Some(4), "{output:?}");
    let kv = &imports(&output)?["leasehold:job/fenced-kv"];
    let line = "kv = [\"book/\"]";
    ensure!(kv["state"] == "not-granted" && kv["remedy"] == line, "{kv}");
    Ok(())
}

#[test]
fn inspect_shows_the_manifest_and_its_effect_in_a_folder() -> Result<()> {
    let room = Room::new("")?;
    std::fs::remove_file(room.path().join("leasehold.toml"))?;
    let manifest = "name = \"greeter\"\nevery = \"1m\"\n[needs]\nkv = [\"{job}/\"]\n";
    room.plugin("hello.wasm", &guests::c_hello()?, manifest)?;
    let output = room.run(&["plugin", "inspect", "hello.wasm"])?;
    expect_output(
        &output,
        0,
        &[
            "form preview-1 command",
            "contract none: it uses WASI alone",
            "wasi_snapshot_preview1 always there",
            "manifest name = \"greeter\"",
            "job `dropped.greeter`",
            "every = \"1m\"",
            "allow.kv = [\"dropped.greeter/\"]",
        ],
    )?;
    room.plugin(
        "hello.wasm",
        &guests::c_hello()?,
        "[needs]\nkv = [\"other/\"]\nplugin = 1",
    )?;
    let output = room.run(&["plugin", "inspect", "hello.wasm"])?;
    expect_output(
        &output,
        4,
        &["unknown key `plugin` in [needs]", "under [plugins.allow]"],
    )?;
    room.write("hello.wasm", b"hello")?;
    expect_output(
        &room.run(&["plugin", "inspect", "hello.wasm"])?,
        4,
        &["is not WebAssembly"],
    )
}

#[test]
fn a_plugin_runs_without_etcd_and_its_output_can_be_piped() -> Result<()> {
    let room = Room::new("")?;
    std::fs::remove_file(room.path().join("leasehold.toml"))?;
    room.plugin("ledger.wasm", &guests::ledger()?, "")?;
    let output = room.run(&[
        "plugin",
        "run",
        "ledger.wasm",
        "--set",
        "transfers=3",
        "--set",
        "prefix=ledger/",
    ])?;
    expect_output(
        &output,
        0,
        &[
            "under a simulated lock `ledger`",
            "-- done",
            "calls of the host were let through",
        ],
    )?;
    room.plugin("hello.wasm", &guests::c_hello()?, "")?;
    let output = room.run(&["plugin", "run", "hello.wasm", "--", "1", "3"])?;
    expect_output(&output, 1, &["-- failed: exit code 3"])?;
    ensure!(
        !output.stdout.contains("--") && !output.stdout.is_empty(),
        "{output:?}"
    );
    expect_output(
        &room.run(&["plugin", "run", "hello.wasm", "--", "1", "0"])?,
        0,
        &["-- done"],
    )?;
    expect_output(
        &room.run(&["plugin", "run", "hello.wasm", "--lock=real"])?,
        2,
        &["write fake"],
    )
}

/// The guest asks for nothing and never returns: the end of the lock is the end of it.
#[test]
fn a_lost_lock_stops_a_guest_that_does_not_stop() -> Result<()> {
    let room = Room::new("")?;
    std::fs::remove_file(room.path().join("leasehold.toml"))?;
    room.plugin("stubborn.wasm", &guests::stubborn()?, "")?;
    let began = std::time::Instant::now();
    let output = room.run(&[
        "plugin",
        "run",
        "stubborn.wasm",
        "--lock=fake:500ms",
        "--set",
        "mode=spin",
    ])?;
    ensure!(began.elapsed() > Duration::from_millis(500));
    expect_output(
        &output,
        0,
        &[
            "lost after 0.500 s",
            "-- stopped: the lock was lost",
            "the guest had stopped at",
            "later",
        ],
    )
}

#[test]
fn a_trial_gets_what_the_configuration_gives_its_job() -> Result<()> {
    let room = Room::new(
        "[jobs.book]\nplugin = \"ledger.wasm\"\nallow.kv = [\"ledger/\"]\nconfig = { transfers = 2 }\n\
         [jobs.bare]\nplugin = \"hello.wasm\"\n",
    )?;
    room.plugin("ledger.wasm", &guests::ledger()?, "")?;
    room.plugin("hello.wasm", &guests::c_hello()?, "")?;
    let run = |job: &str| {
        room.run(&[
            "plugin",
            "run",
            "ledger.wasm",
            "-c",
            "leasehold.toml",
            "--job",
            job,
        ])
    };
    expect_output(&run("book")?, 0, &["job `book`", "-- done"])?;
    expect_output(
        &run("bare")?,
        4,
        &["add `kv = [\"bare/\"]` under [jobs.bare.allow]"],
    )
}

/// A plugin that no table names has its limits in the file beside it.
#[test]
fn remedies_for_a_plugin_without_a_table_name_its_sidecar() -> Result<()> {
    let room = Room::new("")?;
    std::fs::remove_file(room.path().join("leasehold.toml"))?;
    let large =
        wat::parse_str(r#"(module (memory (export "memory") 4096) (func (export "_start")))"#)?;
    room.write("large.wasm", &large)?;
    let remedy =
        "raise `memory` under [limits] in large.toml, and in [plugins.limits] if that allows less";
    for command in ["run", "inspect"] {
        let output = room.run(&["plugin", command, "large.wasm"])?;
        expect_output(&output, if command == "run" { 4 } else { 0 }, &[remedy])?;
        ensure!(!output.stderr.contains("[jobs."), "{output:?}");
    }
    expect_output(
        &room.run(&["plugin", "inspect", "large.wasm", "--compile"])?,
        0,
        &["not compiled", remedy],
    )
}
