//! A key without a lease under a lock: an administrative hold, respected and shown as such.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::{A_WHILE, NAME, SLACK, acquired, beater, end, has_acquired, queue_of};
use leasehold_tests::command::leasehold;

on_every_store!(a_key_without_a_lease_is_respected_and_shown_as_a_hold);

fn a_key_without_a_lease_is_respected_and_shown_as_a_hold(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hold = format!("{NAME}/maintenance");
    etcd.etcdctl(&["put", &hold, "disk swap, back at noon"])?;
    let config = beater("host-a", &etcd)?;
    let host = HostProcess::start(&config)?;
    let waiting = host.wait_for(SLACK, |event| event.is("waiting"))?;
    ensure!(waiting.str("holder") == Some(&hold), "{waiting}");
    std::thread::sleep(A_WHILE);
    ensure!(!has_acquired(&host), "the hold was not respected");

    let table = eventually(SLACK, "the waiting job in the table", || {
        let output = leasehold(&config, &["status"])?;
        ensure!(output.code == Some(0), "{}", output.stderr);
        ensure!(output.stdout.contains("waiting"), "{}", output.stdout);
        Ok(output.stdout)
    })?;
    println!("{table}");
    let row = |what: &str| {
        let line = table.lines().find(|line| line.contains(what));
        line.unwrap_or_default().to_owned()
    };
    let first = row("administrative hold: maintenance");
    ensure!(first.starts_with("shared/report  holds"), "{table}");
    ensure!(first.contains("none"), "it has a lease: {first}");
    ensure!(row("report@host-a").contains("#1"), "{table}");

    let output = leasehold(&config, &["status", "--format", "json"])?;
    let status: Value = serde_json::from_str(&output.stdout)?;
    let entries = &status["locks"][0]["entries"];
    ensure!(status["locks"][0]["lock"] == "shared/report", "{status}");
    ensure!(entries[0]["key"] == hold.as_str(), "{status}");
    ensure!(entries[0]["administrative"] == true, "{status}");
    ensure!(entries[1]["administrative"] == false, "{status}");
    ensure!(entries[1]["host"] == "host-a" && entries[1]["job"] == "report");

    etcd.etcdctl(&["del", &hold])?;
    let token = acquired(&host)?.token();
    // One put behind the holder waits like any entry, and keeps the next one out.
    etcd.etcdctl(&["put", &hold, "again"])?;
    queue_of(&etcd, 2)?;
    std::thread::sleep(A_WHILE);
    let events = host.events();
    let lost = events.iter().any(|event| event.is("lock-lost"));
    ensure!(!lost, "token {token:?} was lost to a hold behind it");
    end(host)?;
    ensure!(queue_of(&etcd, 1)? == [hold]);
    Ok(())
}
