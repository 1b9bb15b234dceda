//! Credentials that change on disk while a host runs: the next connection and the next login use the new ones.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::certs::Certs;
use leasehold_tests::etcd::{Etcd, RUNNER, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;
use leasehold_tests::wait::boot_ns;

use crate::{SLACK, end};

on_etcd!(
    rotated_certificates_are_used_for_the_next_connection,
    certificate_that_cannot_be_read_leaves_the_previous_one,
    changed_password_is_not_noticed,
);

/// Longer than the TTL, so that later requests use the files that are on disk now.
const BEYOND_THE_TTL: Duration = Duration::from_millis(4_500);

/// Transfers money under the lock, with a write every few milliseconds.
fn config(etcd: &Etcd) -> Result<Config> {
    let ledger = guests::ledger()?;
    Ok(config_for("host-a", etcd).grace("1s").job("book", |job| {
        let job = job.plugin(&ledger).ttl("4s").allow_kv(&["ledger/"]);
        let job = job.restart("50ms", "500ms").config("forever", true);
        job.config("pause_ms", 20)
    }))
}

/// Waits for a write that begins later than now.
fn works(host: &HostProcess) -> Result<()> {
    let now = boot_ns();
    host.wait_for(SLACK, |event| {
        event.is("progress") && event.boot_ns() > Some(now)
    })
    .with_context(|| format!("no run writes any more: {}", host.stderr()))
    .map(drop)
}

fn rotated_certificates_are_used_for_the_next_connection(version: Version) -> Result<()> {
    let certs = Certs::make()?;
    let mut etcd = Etcd::builder(version).tls(&certs).start()?;
    let host = HostProcess::start(&config(&etcd)?)?;
    let connected = host.wait_for(SLACK, |event| event.is("store-connected"))?;
    works(&host)?;
    certs.rotate()?;
    etcd.restart()?;
    std::thread::sleep(BEYOND_THE_TTL);
    works(&host)?;
    let until = connected.str("certificate_until");
    ensure!(until.is_some_and(|at| at.ends_with('Z')), "{connected}");
    end(host)
}

fn certificate_that_cannot_be_read_leaves_the_previous_one(version: Version) -> Result<()> {
    let certs = Certs::make()?;
    let mut etcd = Etcd::builder(version).tls(&certs).start()?;
    let host = HostProcess::start(&config(&etcd)?)?;
    works(&host)?;
    std::fs::write(certs.client().key, "half a k")?;
    etcd.restart()?;
    std::thread::sleep(BEYOND_THE_TTL);
    works(&host)?;
    ensure!(
        host.stderr().contains("the previous certificates"),
        "no warning: {}",
        host.stderr()
    );
    end(host)
}

/// The file changes first, then the store.
fn changed_password_is_not_noticed(version: Version) -> Result<()> {
    const NEXT: &str = "a-longer-password-than-before";
    let etcd = Etcd::builder(version).users().start()?;
    let host = HostProcess::start(&config(&etcd)?)?;
    works(&host)?;
    let file = etcd.password_file().context("there are users")?;
    std::fs::write(&file, format!("{NEXT}\n"))?;
    // Tokens end in between: the store still knows the previous password.
    etcd.expire_tokens()?;
    works(&host)?;
    etcd.ctl()?
        .run_with_input(&["user", "passwd", RUNNER.0, "--interactive=false"], NEXT)?;
    std::thread::sleep(BEYOND_THE_TTL);
    works(&host)?;
    let bad = ["lock-lost", "run-ended", "backoff", "released"];
    let events = host.events();
    let noticed = events.iter().find(|event| bad.contains(&event.name()));
    ensure!(noticed.is_none(), "{noticed:?}");
    end(host)
}
