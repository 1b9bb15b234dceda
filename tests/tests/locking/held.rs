//! A hold without a command, and the store that is found.

use anyhow::{Context, Result, ensure};
use leasehold_tests::command;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::config_for;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::unique;
use rustix::process::Signal;

use crate::{LockProcess, lock, lock_command};

on_every_store!(hold_without_a_command_lasts_until_a_signal);

fn hold_without_a_command_lasts_until_a_signal(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    for (signal, args) in [
        (Signal::TERM, &["nightly"][..]),
        (Signal::INT, &["/leasehold/locks/nightly", "--raw-key"]),
    ] {
        let mut hold = LockProcess::spawn(lock_command(&etcd, args)?, unique("hold"))?;
        let key = etcd.wait_holder("/leasehold/locks/nightly/", crate::SLACK)?;
        hold.line(&key)?;
        let token = hold.stdout.wait_from(1, crate::SLACK, |_| true);
        let token = token.ok().context("no token")?;
        ensure!(token.parse::<u64>()? > 0, "{token}");
        let refused = lock(&etcd, &["nightly", "--wait", "0s", "--", "true"])?;
        ensure!(refused.code == Some(6), "{refused:?}");
        hold.process.signal(signal)?;
        hold.ends_with(0)?;
        ensure!(etcd.queue("/leasehold/locks/")?.is_empty());
    }
    Ok(())
}

#[test]
fn hold_without_a_command_ends_with_the_lock() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut hold = LockProcess::spawn(lock_command(&etcd, &["nightly"])?, unique("hold"))?;
    let key = etcd.wait_holder("/leasehold/locks/nightly/", crate::SLACK)?;
    hold.line(&key)?;
    etcd.etcdctl(&["del", &key])?;
    hold.ends_with(8)?;
    hold.error("error: lock nightly was lost: the lock entry was removed at revision")
}

/// Only `[store]` matters: a mistake in a job is a warning, and its root is the locks'.
#[test]
fn store_is_that_of_the_configuration_despite_a_mistake_in_a_job() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = config_for("host-a", &etcd).store("root", "/other/");
    let config = format!("{config}\n[jobs.broken]\nlock = 7\n");
    let script = "echo $ETCD_LOCK_KEY";
    let output = command::leasehold(&config, &["lock", "nightly", "--", "sh", "-c", script])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.stdout.starts_with("/other/locks/nightly/"),
        "{output:?}"
    );
    ensure!(output.stderr.starts_with("warning: "), "{output:?}");
    let quiet = ["lock", "nightly", "--quiet", "--", "true"];
    let output = command::leasehold(&config, &quiet)?;
    ensure!(
        output.code == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn misuse_starts_no_command() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let file = unique("started");
    for args in [
        &["/nightly"][..],
        &["nightly", "--ttl", "1s"],
        &["nightly", "--ttl", "5s", "--grace", "4s"],
        &["/nightly/", "--raw-key"],
    ] {
        let command = ["--", "touch", &file];
        let output = lock(&etcd, &[args, &command].concat())?;
        ensure!(output.code == Some(2), "{output:?}");
    }
    let endpoint = ["nightly", "--endpoint", "http://127.0.0.1:1"];
    let mut command = std::process::Command::new(leasehold_tests::binaries::leasehold()?);
    command
        .arg("lock")
        .args(endpoint)
        .args(["--", "touch", &file]);
    let output = command::finish("leasehold lock", command)?;
    ensure!(output.code == Some(5), "{output:?}");
    ensure!(
        output.stderr.starts_with("error: no store answered at"),
        "{output:?}"
    );
    ensure!(!std::path::Path::new("/").join(&file).exists());
    Ok(())
}
