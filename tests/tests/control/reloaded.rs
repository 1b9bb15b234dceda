//! A requested run beside a change of its job: it is of one version, and the host's end reaches it.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{Config, Job};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::{JOB, SLACK, host, order};

on_every_store!(
    a_requested_run_is_stopped_with_its_host_after_a_change,
    a_requested_run_ends_before_its_job_is_removed,
);

/// Records of the job on each host.
const JOBS: &str = "/leasehold/jobs/pulse/";

/// A job whose next tick is a year away, and whose runs do not end.
fn endless(job: Job) -> Job {
    job.key("cron", "0 3 1 1 *").args(&["0", "40"])
}

fn requested(etcd: &Etcd) -> Result<(Config, HostProcess)> {
    let config = host("a", etcd, endless)?;
    let started = HostProcess::start(&config)?;
    started.wait_for(SLACK, |event| event.is("store-connected"))?;
    eventually(SLACK, "the job's record", || {
        let keys = etcd.etcdctl(&["get", "--prefix", "--keys-only", JOBS])?;
        ensure!(!keys.trim().is_empty(), "none");
        Ok(())
    })?;
    order(&config, &["trigger", JOB])?;
    started.wait_for(SLACK, |event| event.is("guest"))?;
    Ok((config, started))
}

/// Fails when the next version takes the place of the one whose guest runs: nothing would stop that guest.
fn a_requested_run_is_stopped_with_its_host_after_a_change(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (_, mut host_a) = requested(&etcd)?;
    let mark = host_a.mark();
    let changed = host("a", &etcd, |job| endless(job).key("lock", "another"))?;
    host_a.reconfigure(&changed)?;
    host_a.wait_after(mark, SLACK, |event| event.is("job-changed"))?;
    // The guest goes on meanwhile.
    host_a.wait_after(host_a.mark(), SLACK, |event| event.is("guest"))?;
    host_a.term()?;
    let code = host_a.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "{code:?}");
    let events = host_a.events();
    let ended = events.iter().find(|event| event.is("run-ended"));
    ensure!(
        ended.is_some_and(
            |event| event.outcome() == Some("stopped") && event.str("lock") == Some(JOB)
        ),
        "{ended:?}"
    );
    Ok(())
}

fn a_requested_run_ends_before_its_job_is_removed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (_, mut host_a) = requested(&etcd)?;
    let mark = host_a.mark();
    let other = host("a", &etcd, endless)?;
    let without = other.to_string().replace("[jobs.pulse", "[jobs.other");
    host_a.reconfigure(&without)?;
    host_a.wait_after(mark, SLACK, |event| event.is("job-removed"))?;
    let ended = host_a.wait_after(mark, SLACK, |event| event.is("run-ended"))?;
    ensure!(ended.outcome() == Some("stopped"), "{ended}");
    host_a.term()?;
    host_a.wait_exit(SLACK)?;
    let left = etcd.etcdctl(&["get", "--prefix", "--keys-only", JOBS])?;
    ensure!(left.trim().is_empty(), "{left}");
    Ok(())
}
