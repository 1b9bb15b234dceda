//! The records of a living host exist, whatever becomes of the lease that carries them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::SLACK;
use leasehold_tests::command::leasehold;

on_every_store!(
    a_host_whose_lease_was_revoked_is_shown_again,
    a_host_whose_record_was_deleted_is_shown_again,
    a_host_cut_off_past_its_lease_is_shown_again,
);

const HOST: &str = "/leasehold/hosts/idle";
const TTL: &str = "3s";

/// A host that has nothing to do, so that nothing but the lease makes it write.
fn idle(endpoint: &str) -> Result<Config> {
    let hello = guests::c_hello()?;
    Ok(config("idle", endpoint)
        .grace("100ms")
        .job("yearly", |job| {
            job.plugin(&hello).every("365days").ttl(TTL).args(&["0"])
        }))
}

/// The host's and the job's records, as `status` has them.
fn shown(etcd: &Etcd) -> Result<(usize, usize)> {
    let output = leasehold(&idle(&etcd.endpoint())?, &["status", "--format", "json"])?;
    let status: Value = serde_json::from_str(&output.stdout).context(output.stderr)?;
    let count = |what: &str| status[what].as_array().map_or(0, Vec::len);
    Ok((count("hosts"), count("jobs")))
}

fn wait_shown(etcd: &Etcd, host: &HostProcess) -> Result<()> {
    let shown = eventually(SLACK, "the host and its job in status", || {
        let found = shown(etcd)?;
        ensure!(found == (1, 1), "{found:?}");
        Ok(())
    });
    shown.with_context(|| host.stderr())
}

/// The lease of the host's record in hex; `None` without a record.
fn lease(etcd: &Etcd) -> Result<Option<String>> {
    let output = etcd.etcdctl(&["get", HOST, "-w", "json"])?;
    let output: Value = serde_json::from_str(&output)?;
    let lease = output["kvs"][0]["lease"].as_i64();
    Ok(lease.map(|lease| format!("{lease:x}")))
}

/// Starts it, and waits until its one tick has been run or skipped and all is written.
fn start(etcd: &Etcd, endpoint: &str) -> Result<HostProcess> {
    let host = HostProcess::start(&idle(endpoint)?)?;
    host.wait_for(SLACK, |event| event.is("released"))?;
    wait_shown(etcd, &host)?;
    Ok(host)
}

fn a_host_whose_lease_was_revoked_is_shown_again(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = start(&etcd, &etcd.endpoint())?;
    for _ in 0..2 {
        let revoked = lease(&etcd)?.context("no host record")?;
        etcd.revoke(&revoked)?;
        wait_shown(&etcd, &host)?;
        let now = lease(&etcd)?;
        ensure!(now.is_some_and(|now| now != revoked), "the revoked lease");
    }
    Ok(())
}

fn a_host_whose_record_was_deleted_is_shown_again(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = start(&etcd, &etcd.endpoint())?;
    etcd.etcdctl(&["del", "--prefix", "/leasehold/hosts/"])?;
    etcd.etcdctl(&["del", "--prefix", "/leasehold/jobs/"])?;
    wait_shown(&etcd, &host)
}

fn a_host_cut_off_past_its_lease_is_shown_again(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let host = start(&etcd, &proxy.endpoint())?;
    proxy.set(Mode::DropBoth);
    eventually(SLACK, "the end of the host's lease", || {
        ensure!(lease(&etcd)?.is_none(), "it lives on");
        Ok(())
    })?;
    // The host has given its lease up too, whether or not it was asked for anything.
    std::thread::sleep(Duration::from_secs(3));
    proxy.set(Mode::Pass);
    proxy.reset();
    wait_shown(&etcd, &host)
}
