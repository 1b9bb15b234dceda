//! Readers, writers and permits: as many commands at once as fit, in the order of their coming.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use rustix::process::Signal;

use crate::{A_WHILE, LockProcess, SLACK, lock};

on_every_store!(
    readers_share_the_lock_and_a_writer_waits_its_turn,
    as_many_commands_run_as_permits_fit,
);

/// A command that runs until SIGTERM.
const SCRIPT: &str = "echo up; exec sleep 600";

fn start(etcd: &Etcd, args: &[&str]) -> Result<LockProcess> {
    LockProcess::start(etcd, args, SCRIPT)
}

fn end(mut lock: LockProcess) -> Result<()> {
    lock.process.signal(Signal::TERM)?;
    lock.ends_with(128 + 15)
}

fn readers_share_the_lock_and_a_writer_waits_its_turn(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let readers = [(); 2].map(|()| start(&etcd, &["nightly", "--shared"]));
    let [first, second] = readers;
    let (first, second) = (first?, second?);
    first.line("up")?;
    second.line("up")?;
    let writer = start(&etcd, &["nightly"])?;
    writer.error("leasehold: waiting for lock nightly: held by $ env on")?;
    let foreign = etcd.spawn_etcdctl(&["lock", "/leasehold/locks/nightly"])?;
    // A reader that came after the writer does not go ahead of it.
    let late = ["nightly", "--shared", "--wait", "500ms", "--", "true"];
    ensure!(lock(&etcd, &late)?.code == Some(6));
    end(first)?;
    std::thread::sleep(A_WHILE);
    ensure!(writer.stdout.is_empty(), "the writer ran beside a reader");
    end(second)?;
    writer.line("up")?;
    ensure!(foreign.lines().is_empty(), "etcdctl went ahead");
    end(writer)?;
    foreign
        .wait_line(SLACK, |line| line.starts_with("/leasehold"))
        .map(drop)
}

fn as_many_commands_run_as_permits_fit(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let two = start(&etcd, &["workers", "--permits", "2/3"])?;
    two.line("up")?;
    let one = start(&etcd, &["workers", "--permits", "1/3"])?;
    one.line("up")?;
    let next = start(&etcd, &["workers", "--permits", "1/3"])?;
    next.error("leasehold: waiting for lock workers: held by $ env on")?;
    let other = ["workers", "--permits", "1/4", "--", "true"];
    let other = lock(&etcd, &other)?;
    ensure!(other.code == Some(6), "{other:?}");
    let expected = "error: lock workers was not acquired: it has 3 permits for $ env on";
    ensure!(other.stderr.starts_with(expected), "{other:?}");
    ensure!(next.stdout.is_empty(), "four permits of three are held");
    end(one)?;
    next.line("up")?;
    end(two)?;
    end(next)
}
