//! The holder of a lock that a job waits for is shown by job and host, not only by a key.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{ends_with, first};

on_every_store!(
    a_long_wait_logs_the_holding_job_and_host_once,
    a_job_that_does_not_wait_logs_the_holder,
);

const LOCK: &str = "shared";
/// Longer than a second log line would take.
const A_WHILE: Duration = Duration::from_secs(3);

/// A job that beats for ever under the shared lock, on a host of its own.
fn beats(etcd: &Etcd, host: &str, job: &str) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    let config = config_for(host, etcd);
    Ok(config.job(job, |job| job.plugin(&heartbeat).lock(LOCK)))
}

fn holder(etcd: &Etcd) -> Result<(HostProcess, String)> {
    let host = HostProcess::start(&beats(etcd, "host-a", "pulse")?)?;
    first(&host, "acquired")?;
    let queue = etcd.queue("/leasehold/locks/shared/")?;
    let key = queue.first().context("the lock has no holder")?;
    Ok((host, key.clone()))
}

fn a_long_wait_logs_the_holding_job_and_host_once(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (_host_a, key) = holder(&etcd)?;
    let host_b = HostProcess::start(&beats(&etcd, "host-b", "other")?)?;
    let told = first(&host_b, "blocked")?;
    ensure!(told.job() == Some("other"), "{told}");
    ensure!(told.str("by") == Some("pulse@host-a"), "{told}");
    ensure!(told.str("holder") == Some(&key), "{told}");
    std::thread::sleep(A_WHILE);
    let events = host_b.events();
    let times = events.iter().filter(|event| event.is("blocked")).count();
    ensure!(times == 1, "it was told {times} times");
    Ok(())
}

fn a_job_that_does_not_wait_logs_the_holder(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (_host_a, key) = holder(&etcd)?;
    let hello = guests::c_hello()?;
    let config = config_for("host-b", &etcd).job("hello", |job| {
        job.plugin(&hello).lock(LOCK).once().wait("never")
    });
    let mut host_b = HostProcess::start(&config)?;
    ends_with(&mut host_b, 6)?;
    let told = first(&host_b, "job-failed")?;
    let error = told.str("error").unwrap_or_default();
    let who = format!("is held by pulse@host-a ({key})");
    ensure!(error.contains(&who), "{told}");
    Ok(())
}
