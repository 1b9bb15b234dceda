//! `etcdctl lock`, without a command: it holds the lock until it is interrupted.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::binaries::Version;
use crate::etcd::Etcd;
use crate::etcdctl::RunningEtcdctl;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// Starts an `etcdctl lock` of this version.
///
/// # Errors
/// It cannot be started.
pub fn etcdctl_lock(etcd: &Etcd, client: Version, name: &str) -> Result<RunningEtcdctl> {
    etcd.ctl()?.version(client)?.spawn(&["lock", name])
}

/// Waits for the key that it prints as held.
///
/// # Errors
/// It does not hold the lock.
pub fn held_key(etcdctl: &RunningEtcdctl, name: &str) -> Result<String> {
    etcdctl.wait_line(SLACK, |line| line.starts_with(name))
}

/// Interrupts it, and waits until it has given the lock back.
///
/// # Errors
/// It does not end.
pub fn let_go(mut etcdctl: RunningEtcdctl) -> Result<()> {
    etcdctl.process().signal(Signal::INT)?;
    etcdctl.wait_exit(SLACK).map(drop)
}
