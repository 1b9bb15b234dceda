//! Login tokens that end while a lock is held, and while one is waited for. Nothing of it may show: the holder keeps
//! its lock and its writes go on, the waiter keeps its place, and records are written.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, RUNNER, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;
use leasehold_tests::wait::{boot_ns, eventually};
use serde_json::Value;

use crate::{SLACK, end};
use leasehold_tests::command::leasehold;

on_etcd!(
    forgotten_tokens_are_not_noticed,
    tokens_that_end_in_use_are_not_noticed,
    a_wrong_password_is_refused_with_5,
);

const ENTRIES: &str = "/leasehold/locks/book/";

/// Beyond the TTL of every lease here, counted from a moment at which no token was good.
const BEYOND_THE_TTL: Duration = Duration::from_millis(4_500);

/// Transfers money under the lock, with a write every few milliseconds, until it is stopped.
fn ledger(host: &str, etcd: &Etcd) -> Result<Config> {
    let ledger = guests::ledger()?;
    Ok(config_for(host, etcd).grace("2s").job("book", |job| {
        let job = job.plugin(&ledger).ttl("4s").allow_kv(&["ledger/"]);
        job.config("forever", true).config("pause_ms", 20)
    }))
}

fn forgotten_tokens_are_not_noticed(version: Version) -> Result<()> {
    survives(&Etcd::builder(version).users().start()?)
}

/// Every token ends two seconds after it was given, and the server forgets them all once besides.
fn tokens_that_end_in_use_are_not_noticed(version: Version) -> Result<()> {
    let lifetime = Duration::from_secs(2);
    survives(&Etcd::builder(version).token_ttl(lifetime).start()?)
}

fn survives(etcd: &Etcd) -> Result<()> {
    let config_a = ledger("host-a", etcd)?;
    let host_a = HostProcess::start(&config_a)?;
    let acquired = host_a.wait_for(SLACK, |event| event.is("acquired"))?;
    let host_b = HostProcess::start(&ledger("host-b", etcd)?)?;
    host_b.wait_for(SLACK, |event| event.is("waiting"))?;
    let queue = etcd.queue(ENTRIES)?;

    etcd.expire_tokens()?;
    std::thread::sleep(BEYOND_THE_TTL);

    let now = boot_ns();
    let works = |host: &HostProcess| {
        host.wait_for(SLACK, |event| {
            event.is("progress") && event.boot_ns() > Some(now)
        })
        .map(drop)
    };
    works(&host_a)?;
    let events = host_a.events();
    let bad = ["lock-lost", "run-ended", "backoff", "released"];
    let noticed = events.iter().find(|event| bad.contains(&event.name()));
    ensure!(noticed.is_none(), "the holder noticed: {noticed:?}");
    let events = host_b.events();
    let noticed = events.iter().find(|event| bad.contains(&event.name()));
    ensure!(noticed.is_none(), "the waiter noticed: {noticed:?}");
    ensure!(etcd.queue(ENTRIES)? == queue, "the queue changed");
    both_hosts_are_known(&config_a)?;

    // And once more, right before everything that a hand-over needs.
    etcd.expire_tokens()?;
    end(host_a)?;
    let next = host_b.wait_for(SLACK, |event| event.is("acquired"))?;
    ensure!(next.token() > acquired.token(), "{acquired}, {next}");
    host_b.wait_for(SLACK, |event| {
        event.is("progress") && event.token() == next.token()
    })?;
    end(host_b)?;
    ensure!(etcd.queue(ENTRIES)?.is_empty(), "a lock was left");
    runs_are_recorded(&config_a, 2)
}

fn both_hosts_are_known(config: &Config) -> Result<()> {
    let output = leasehold(config, &["status", "--format", "json"])?;
    ensure!(output.code == Some(0), "{}", output.stderr);
    let status: Value = serde_json::from_str(&output.stdout)?;
    let jobs = status["jobs"].as_array().context("no jobs")?;
    let shown: Vec<_> = jobs
        .iter()
        .map(|job| (job["host"].as_str(), job["state"].as_str()))
        .collect();
    let right = [
        (Some("host-a"), Some("running")),
        (Some("host-b"), Some("waiting")),
    ];
    ensure!(shown == right, "{shown:?}");
    Ok(())
}

fn runs_are_recorded(config: &Config, count: usize) -> Result<()> {
    eventually(SLACK, "the records of both runs", || {
        let output = leasehold(config, &["runs", "--format", "json"])?;
        let runs: Vec<Value> = serde_json::from_str(&output.stdout)?;
        ensure!(runs.len() == count, "{}", output.stdout);
        let done = runs.iter().all(|run| run["outcome"] == "done");
        ensure!(done, "{}", output.stdout);
        Ok(())
    })
}

fn a_wrong_password_is_refused_with_5(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).users().start()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("wrong.password");
    std::fs::write(&file, "not the password\n")?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private)?;
    let right = ledger("host-a", &etcd)?;
    let unknown = right.clone().login("nobody", &file);
    let wrong = right.clone().login(RUNNER.0, &file);
    for config in [unknown, wrong] {
        for args in [&["run", "--log-format", "json"][..], &["status"], &["runs"]] {
            let output = leasehold(&config, args)?;
            println!("{args:?}: {}", output.stderr);
            ensure!(output.code == Some(5), "{output:?}");
            let endpoint = etcd.endpoint();
            for part in [&endpoint, "refused us", "invalid user ID or password"] {
                ensure!(output.stderr.contains(part), "no {part:?} in {output:?}");
            }
            ensure!(!output.stderr.contains("not the password"), "{output:?}");
        }
    }
    let output = leasehold(&right, &["status"])?;
    ensure!(output.code == Some(0), "{output:?}");
    Ok(())
}
