//! A plugin dropped into the folder is a job: it starts, changes and ends with its file.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wat_plugins::{printer, printer_with_manifest};

use super::{
    QUIET, SLACK, count, dropped, dropping, end, event_after, first_output, folder, put, start,
};

on_every_store!(
    a_file_is_a_job_for_as_long_as_it_is_there,
    a_file_that_changes_runs_anew_and_the_lock_is_the_same,
);

fn a_file_is_a_job_for_as_long_as_it_is_there(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = start(&dropping(&etcd))?;
    host.wait_for(SLACK, |event| event.is("store-connected"))?;
    put(&folder(&host), "hello.wasm", &printer("hello", 0)?)?;
    let hello = dropped("hello");
    event_after(&host, 0, "job-added", &hello)?;
    let acquired = event_after(&host, 0, "acquired", &hello)?;
    ensure!(
        acquired.lock() == Some("dropped.hello") && acquired.token().is_some(),
        "{acquired}"
    );
    ensure!(first_output(&host, 0, &hello)? == "hello");
    std::fs::remove_file(folder(&host).join("hello.wasm"))?;
    event_after(&host, 0, "job-removed", &hello)?;
    let mark = host.mark();
    std::thread::sleep(QUIET);
    ensure!(
        count(&host.events()[mark..], "run-started", None) == 0,
        "it still runs"
    );
    ensure!(
        etcd.queue("/leasehold/locks/dropped.hello/")?.is_empty(),
        "the lock was left"
    );
    // A host with an empty folder continues.
    let mark = host.mark();
    put(&folder(&host), "hello.wasm", &printer("again", 0)?)?;
    ensure!(first_output(&host, mark, &hello)? == "again");
    end(host).map(drop)
}

fn a_file_that_changes_runs_anew_and_the_lock_is_the_same(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = start(&dropping(&etcd))?;
    put(&folder(&host), "job.wasm", &printer("one", 0)?)?;
    ensure!(first_output(&host, 0, &dropped("job"))? == "one");
    put(&folder(&host), "job.wasm", &printer("two", 0)?)?;
    event_after(&host, 0, "job-changed", &dropped("job"))?;
    host.wait_for(SLACK, |event| event.text() == Some("two"))?;
    let events = end(host)?;
    let at = |name: &str| events.iter().rposition(|event| event.text() == Some(name));
    ensure!(at("one") < at("two"), "the old one ran after the new one");
    ensure!(count(&events, "plugin-refused", None) == 0);
    Ok(())
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    host.wait_for(SLACK, |event| event.is("store-connected"))?;
    let bytes = printer("whole", 100_000)?;
    let mut file = File::create(folder(&host).join("slow.wasm"))?;
    for part in bytes.chunks(bytes.len() / 8 + 1) {
        file.write_all(part)?;
        file.sync_all()?;
        std::thread::sleep(Duration::from_millis(250));
    }
    ensure!(
        count(&host.events(), "job-added", None) == 0,
        "it did not wait"
    );
    drop(file);
    ensure!(first_output(&host, 0, &dropped("slow"))? == "whole");
    let events = end(host)?;
    ensure!(
        count(&events, "plugin-refused", None) == 0,
        "it was taken while half written"
    );
    ensure!(count(&events, "job-added", None) == 1);
    Ok(())
}

#[test]
fn a_sidecar_overrides_the_manifest() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd).plugins("locks", vec!["team/*"]))?;
    let manifest = "name = \"greeter\"\nlock = \"team/greeter\"\n[restart]\nmin = \"100ms\"\n";
    put(
        &folder(&host),
        "a.wasm",
        &printer_with_manifest("hi", manifest)?,
    )?;
    let acquired = event_after(&host, 0, "acquired", &dropped("greeter"))?;
    ensure!(acquired.lock() == Some("team/greeter"), "{acquired}");
    let mark = host.mark();
    put(&folder(&host), "a.toml", b"lock = \"team/other\"\n")?;
    event_after(&host, mark, "job-changed", &dropped("greeter"))?;
    host.wait_after(mark, SLACK, |event| {
        event.is("acquired") && event.lock() == Some("team/other")
    })?;
    let mark = host.mark();
    std::fs::remove_file(folder(&host).join("a.toml"))?;
    host.wait_after(mark, SLACK, |event| {
        event.is("acquired") && event.lock() == Some("team/greeter")
    })?;
    end(host).map(drop)
}

fn event_of(host: &HostProcess, name: &str) -> Result<Event> {
    host.wait_after(0, SLACK, |event| event.is(name))
}

#[test]
fn a_typed_plugin_gets_its_own_keys_and_no_others() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    let ledger = std::fs::read(guests::ledger()?)?;
    put(&folder(&host), "ledger.wasm", &ledger)?;
    // Its manifest asks for a prefix that it chose, which is not its own here.
    let refused = event_of(&host, "plugin-refused")?;
    let said = refused.str("error").unwrap_or_default();
    ensure!(
        said.contains("asks for fenced data under `ledger/`"),
        "{said}"
    );
    put(
        &folder(&host),
        "ledger.toml",
        b"config = { prefix = \"dropped.ledger/\", transfers = 3, pause_ms = 1 }\nonce = true\n\
          [allow]\nkv = [\"{job}/\"]\n",
    )?;
    let ended = event_after(&host, 0, "run-ended", &dropped("ledger"))?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    end(host).map(drop)
}
