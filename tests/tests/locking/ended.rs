//! The command and all that it started end before another can hold the lock, whatever is stopped or killed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::RunningEtcdctl;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::boot_ns;
use rustix::process::Signal;

use crate::{LockProcess, SLACK, signal};

on_every_store!(
    stopped_leasehold_ends_its_command_before_the_next_holder,
    paused_store_ends_the_command_within_the_ttl,
    killed_leasehold_ends_its_command,
    killed_command_leaves_nothing_behind,
    killed_leasehold_and_command_leave_nothing_behind,
    signal_to_all_processes_leaves_the_command_its_grace,
);

/// Shared by the holder and the next one.
const NAME: &str = "/leasehold/locks/nightly";
const ARGS: &[&str] = &["nightly", "--ttl", "3s"];
const TTL: Duration = Duration::from_secs(3);

/// A contender of another kind, which holds the lock only after the lease has ended.
fn next(etcd: &Etcd) -> Result<RunningEtcdctl> {
    let next = etcd.spawn_etcdctl(&["lock", NAME])?;
    leasehold_tests::wait::eventually(SLACK, "a second entry", || {
        let queue = etcd.queue(&format!("{NAME}/"))?;
        ensure!(queue.len() == 2, "{queue:?}");
        Ok(())
    })?;
    Ok(next)
}

/// Waits until the contender holds the lock, and checks that nothing of the command lives then.
fn nothing_lives_at_hand_off(lock: &LockProcess, next: &RunningEtcdctl) -> Result<()> {
    next.wait_line(SLACK, |line| line.starts_with(NAME))?;
    let living = lock.living();
    ensure!(living.is_empty(), "{living:?} live under another's lock");
    Ok(())
}

fn stopped_leasehold_ends_its_command_before_the_next_holder(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    let next = next(&etcd)?;
    lock.process.stop()?;
    let stopped = boot_ns();
    lock.dies()?;
    let took = Duration::from_nanos(boot_ns() - stopped);
    ensure!(took < TTL, "the command lived for {took:?}");
    nothing_lives_at_hand_off(&lock, &next)?;
    lock.process.cont()?;
    lock.ends_with(8)?;
    // It learns first of the deadline, or of the end of its lease.
    lock.error("error: lock nightly ")
}

fn paused_store_ends_the_command_within_the_ttl(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    etcd.pause()?;
    let paused = boot_ns();
    lock.dies()?;
    // The last renewal was sent before the pause, so the lease ends before this.
    let took = Duration::from_nanos(boot_ns() - paused);
    ensure!(took < TTL, "the command lived for {took:?}");
    lock.ends_with(8)?;
    etcd.resume()?;
    lock.error("error: lock nightly is in doubt")
}

fn killed_leasehold_ends_its_command(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    let next = next(&etcd)?;
    signal(lock.process.pid(), Signal::KILL)?;
    let killed = boot_ns();
    lock.dies()?;
    let took = Duration::from_nanos(boot_ns() - killed);
    ensure!(took < TTL, "the command lived for {took:?}");
    nothing_lives_at_hand_off(&lock, &next)?;
    lock.wait_exit().map(drop)
}

fn killed_command_leaves_nothing_behind(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    let next = next(&etcd)?;
    signal(lock.command()?, Signal::KILL)?;
    nothing_lives_at_hand_off(&lock, &next)?;
    lock.ends_with(128 + 9)?;
    ensure!(lock.errors().is_empty(), "{}", lock.errors());
    Ok(())
}

fn killed_leasehold_and_command_leave_nothing_behind(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    let next = next(&etcd)?;
    let command = lock.command()?;
    signal(lock.process.pid(), Signal::KILL)?;
    signal(command, Signal::KILL)?;
    nothing_lives_at_hand_off(&lock, &next)?;
    lock.wait_exit().map(drop)
}

/// The kernel kills the command, and `leasehold` what the command had started.
#[test]
fn killed_keeper_takes_the_command_with_it() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    let next = next(&etcd)?;
    signal(lock.keeper()?, Signal::KILL)?;
    nothing_lives_at_hand_off(&lock, &next)?;
    lock.ends_with(70)?;
    lock.error("error: the process that keeps the command was killed; the command was killed too")
}

/// `leasehold` does what its keeper does not.
#[test]
fn stopped_keeper_is_replaced_at_the_deadline() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut lock = LockProcess::stubborn(&etcd, ARGS)?;
    signal(lock.keeper()?, Signal::STOP)?;
    etcd.pause()?;
    let paused = boot_ns();
    lock.dies()?;
    let took = Duration::from_nanos(boot_ns() - paused);
    ensure!(took < TTL, "the command lived for {took:?}");
    lock.ends_with(8)?;
    etcd.resume()
}

/// The command gets no grace that another holder would share.
#[test]
fn removed_entry_kills_the_command_at_once() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    // Neither the grace nor the lease ends within this test's patience.
    let args = ["nightly", "--ttl", "10m", "--grace", "5m"];
    let mut lock = LockProcess::stubborn(&etcd, &args)?;
    let queue = etcd.queue(&format!("{NAME}/"))?;
    etcd.etcdctl(&["del", queue.first().context("no entry")?])?;
    lock.ends_with(8)?;
    ensure!(lock.living().is_empty());
    lock.error("error: lock nightly was lost: the lock entry was removed at revision")
}

/// A command that heeds SIGTERM ends by it, with time to clean up, before it would be killed.
#[test]
fn command_in_doubt_has_its_grace_to_clean_up() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let script = "trap 'echo cleaning; sleep 0.2; echo clean; exit 0' TERM; echo up; while :; do sleep 0.02; done";
    let args = ["nightly", "--ttl", "4s", "--grace", "2s"];
    let mut lock = LockProcess::start(&etcd, &args, script)?;
    lock.line("up")?;
    etcd.pause()?;
    lock.line("clean")?;
    // Its own exit code does not hide the loss.
    lock.ends_with(8)?;
    etcd.resume()
}

/// A service manager that stops a unit sends SIGTERM to each of its processes.
fn signal_to_all_processes_leaves_the_command_its_grace(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.02; done";
    let mut lock = LockProcess::start(&etcd, ARGS, script)?;
    lock.line("up")?;
    for pid in [lock.keeper()?, lock.command()?, lock.process.pid()] {
        signal(pid, Signal::TERM)?;
    }
    lock.line("bye")?;
    lock.ends_with(5)
}
