//! Files that choose names: of a configured job, of its lock and keys, and of a job on another host.

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wat_plugins::{printer, printer_with_manifest};

use crate::SLACK;
use crate::neighbour::Neighbour;

/// The refusal of this file after `mark`.
fn refusal(host: &HostProcess, mark: usize, file: &str) -> Result<String> {
    let refused = host.wait_after(mark, SLACK, |event| {
        let about = event.str("file").is_some_and(|path| path.ends_with(file));
        event.is("plugin-refused") && about
    })?;
    Ok(refused.str("error").unwrap_or_default().to_owned())
}

#[test]
fn a_drop_in_named_like_a_job_reaches_neither_its_keys_nor_lock() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let ledger = std::fs::read(guests::ledger()?)?;
    // It asks for the keys of the job whose name it has.
    let mark = beside.host.mark();
    beside.drop_in("ledger.wasm", &ledger)?;
    let said = refusal(&beside.host, mark, "ledger.wasm")?;
    for part in [
        "job `dropped.ledger` asks for fenced data under `ledger/`",
        "job `ledger` has keys under `ledger/`, in the configuration, [jobs.ledger",
    ] {
        ensure!(said.contains(part), "{said}");
    }
    // On another host it asks for its own corner, and writes to the other's all the same.
    let config = config_for("host-b", &beside.etcd).plugins("dir", "plugins");
    let mut other = HostProcess::start_in_prepared(&config, |dir| {
        let folder = dir.join("plugins");
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("ledger.toml"), "[allow]\nkv = [\"{job}/\"]\n")?;
        Ok(std::fs::write(folder.join("ledger.wasm"), &ledger)?)
    })?;
    let ended = other.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some("dropped.ledger")
    })?;
    ensure!(ended.outcome() != Some("done"), "{ended}");
    other.term()?;
    ensure!(other.wait_exit(SLACK)?.code() == Some(1), "its job failed");
    // It names the other's lock, for an hour.
    let mark = beside.host.mark();
    beside.drop_in("ledger.toml", b"lock = \"ledger\"\nttl = \"1h\"\n[allow]\n")?;
    let said = refusal(&beside.host, mark, "ledger.wasm")?;
    for part in [
        "asks for lock `ledger`, which no dropped-in plugin may take",
        "job `ledger` has that lock, in the configuration",
        "asks for `ttl = \"1h\"`, and a dropped-in plugin may have 1m at most",
    ] {
        ensure!(said.contains(part), "{said}");
    }
    beside.untouched().map(drop)
}

#[test]
fn a_lock_that_the_operator_shares_may_be_named() -> Result<()> {
    let beside = Neighbour::start(|config| config.plugins("locks", vec!["team/*"]))?;
    let named =
        |lock: &str| printer_with_manifest("hi", &format!("name = \"one\"\nlock = {lock:?}\n"));
    let mark = beside.host.mark();
    beside.drop_in("a.wasm", &named("team/shared")?)?;
    beside.host.wait_after(mark, SLACK, |event| {
        event.is("acquired") && event.lock() == Some("team/shared")
    })?;
    for lock in ["team/../ledger", "./ledger", "team//x", "..", "team/."] {
        let mark = beside.host.mark();
        let text = format!("lock = \"{lock}\"\n");
        beside.drop_in("odd.toml", text.as_bytes())?;
        beside.drop_in("odd.wasm", &printer(lock, 0)?)?;
        let said = refusal(&beside.host, mark, "odd.wasm")?;
        ensure!(said.contains("`lock` holds"), "{lock}: {said}");
    }
    beside.untouched().map(drop)
}

/// One host has `nightly` configured, the other gets a file whose manifest has the name `nightly`.
#[test]
fn a_manifest_on_another_host_does_not_stop_the_job_of_its_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nightly = folder.path().join("nightly.wasm");
    std::fs::write(&nightly, printer("ours", 0)?)?;
    let beside =
        Neighbour::start(|config| config.job("nightly", |job| job.plugin(&nightly).every("1s")))?;
    let other = config_for("host-b", &beside.etcd)
        .grace("500ms")
        .plugins("dir", "plugins");
    let mut other = HostProcess::start_in_prepared(&other, |dir| {
        let plugins = dir.join("plugins");
        std::fs::create_dir(&plugins).context("making a folder for plugins")?;
        let manifest = "name = \"nightly\"\nlock = \"dropped.nightly/fast\"\nevery = \"100ms\"\n";
        Ok(std::fs::write(
            plugins.join("x.wasm"),
            printer_with_manifest("theirs", manifest)?,
        )?)
    })?;
    let is_theirs = |event: &Event| event.is("guest") && event.text() == Some("theirs");
    other.wait_for(SLACK, is_theirs)?;
    let mark = beside.host.mark();
    let ran = |count: usize| {
        let events = beside.host.events();
        let ours = events[mark..].iter();
        ours.filter(|event| event.is("run-started") && event.job() == Some("nightly"))
            .count()
            >= count
    };
    leasehold_tests::wait::eventually(SLACK, "three more ticks of ours", || {
        ensure!(ran(3), "fewer");
        Ok(())
    })?;
    let theirs = other.events();
    let theirs = theirs.iter().filter(|event| event.is("run-started"));
    ensure!(theirs.clone().count() >= 3, "the other never ran");
    for run in theirs {
        ensure!(run.job() == Some("dropped.nightly"), "{run}");
    }
    other.term()?;
    ensure!(other.wait_exit(SLACK)?.code() == Some(0));
    beside.untouched().map(drop)
}
