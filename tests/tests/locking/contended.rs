//! Commands under locks among `etcdctl lock`, jobs and one another.

use anyhow::{Result, ensure};
use leasehold_tests::command;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;

use crate::{A_WHILE, LockProcess, SLACK, lock};

on_every_store!(
    etcdctl_and_commands_wait_for_one_another,
    job_and_command_exclude_each_other,
    wait_that_is_over_starts_nothing,
);

const RAW: &str = "/app/nightly";

fn etcdctl_and_commands_wait_for_one_another(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut foreign = etcd.spawn_etcdctl(&["lock", RAW])?;
    let key = foreign.wait_line(SLACK, |line| line.starts_with(RAW))?;
    let mut ours = LockProcess::start(&etcd, &[RAW, "--raw-key"], "echo up; read line")?;
    ours.error(&format!(
        "leasehold: waiting for lock {RAW}: held by the client of {key}; next in line"
    ))?;
    let next = etcd.spawn_etcdctl(&["lock", RAW])?;
    eventually(SLACK, "three entries", || {
        let queue = etcd.queue(&format!("{RAW}/"))?;
        ensure!(queue.len() == 3, "{queue:?}");
        Ok(())
    })?;
    std::thread::sleep(A_WHILE);
    ensure!(ours.stdout.is_empty(), "ours went ahead of etcdctl");
    foreign.process().signal(Signal::INT)?;
    // It reads nothing, and ends.
    ours.ends_with(1)?;
    ours.line("up")?;
    next.wait_line(SLACK, |line| line.starts_with(RAW))
        .map(drop)
}

fn job_and_command_exclude_each_other(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let script = "echo up; while :; do sleep 0.02; done";
    let mut command = LockProcess::start(&etcd, &["shared/report"], script)?;
    command.line("up")?;
    let heartbeat = guests::heartbeat()?;
    let config = config_for("host-a", &etcd)
        .grace("200ms")
        .job("report", |job| {
            job.plugin(&heartbeat)
                .lock("shared/report")
                .args(&["0", "50"])
        });
    let mut host = HostProcess::start(&config)?;
    host.wait_for(SLACK, |event| event.is("waiting"))?;
    std::thread::sleep(A_WHILE);
    ensure!(
        !host.has(|event| event.is("acquired")),
        "both hold the lock"
    );
    // People see who holds it.
    let status = command::leasehold(&config, &["status"])?;
    ensure!(status.stdout.contains("$ env"), "{status:?}");
    command.process.signal(Signal::TERM)?;
    command.ends_with(128 + 15)?;
    host.wait_for(SLACK, |event| event.is("acquired"))?;
    let refused = lock(&etcd, &["shared/report", "--wait", "0s", "--", "true"])?;
    ensure!(refused.code == Some(6), "{refused:?}");
    let expected = "error: lock shared/report was not acquired at once: held by report on host-a";
    ensure!(refused.stderr.starts_with(expected), "{refused:?}");
    host.term()?;
    host.wait_exit(SLACK)?;
    Ok(())
}

fn wait_that_is_over_starts_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let holder = LockProcess::start(&etcd, &["nightly"], "echo up; exec sleep 600")?;
    holder.line("up")?;
    for (wait, words) in [("0s", "at once"), ("1s", "within 1.")] {
        let args = [
            "nightly", "--quiet", "--wait", wait, "--", "echo", "started",
        ];
        let output = lock(&etcd, &args)?;
        ensure!(output.code == Some(6), "{output:?}");
        ensure!(output.stdout.is_empty(), "{output:?}");
        let refused = format!("error: lock nightly was not acquired {words}");
        ensure!(output.stderr.starts_with(&refused), "{output:?}");
        ensure!(output.stderr.contains(": held by $ env on"), "{output:?}");
    }
    // A signal ends the wait as well.
    let mut waiter = LockProcess::start(&etcd, &["nightly"], "echo started")?;
    waiter.error("leasehold: waiting for lock nightly")?;
    waiter.process.signal(Signal::TERM)?;
    waiter.ends_with(130)?;
    waiter.error("error: stopped by SIGTERM")?;
    ensure!(waiter.stdout.is_empty());
    let queue = etcd.queue("/leasehold/locks/nightly/")?;
    ensure!(queue.len() == 1, "{queue:?}");
    Ok(())
}
