//! A private store: faults, of every kind, the operator's hand.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::wait::eventually;

use crate::{SHORT, SLACK, is_refused, is_there};

fn keeps_data_over_faults(version: Version) -> Result<()> {
    let mut etcd = Etcd::start(version)?;
    let server = etcd.endpoint();
    etcd.etcdctl(&["put", "k", "v"])?;
    assert_eq!(etcd.etcdctl(&["get", "k", "--print-value-only"])?, "v");

    etcd.pause()?;
    let paused = etcd.ctl()?.timeout(SHORT).run(&["get", "k"]);
    is_refused(paused, "deadline exceeded")?;
    etcd.resume()?;
    etcd.wait_ready(SLACK)?;
    assert_eq!(etcd.etcdctl(&["get", "k", "--print-value-only"])?, "v");

    let revision = etcd.revision()?;
    etcd.kill()?;
    let refused = TcpStream::connect(server.trim_start_matches("http://"));
    ensure!(refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused));
    etcd.restart()?;
    assert_eq!(etcd.endpoint(), server);
    assert_eq!(etcd.etcdctl(&["get", "k", "--print-value-only"])?, "v");
    assert_eq!(etcd.revision()?, revision);

    let cluster = etcd.cluster_id()?;
    etcd.restart_wiped()?;
    assert_eq!(etcd.etcdctl(&["get", "k", "--print-value-only"])?, "");
    assert_eq!((etcd.revision()?, etcd.cluster_id()?), (1, cluster));

    etcd.restart_as_another()?;
    assert_eq!(etcd.endpoint(), server);
    assert_ne!(etcd.cluster_id()?, cluster);
    Ok(())
}

#[test]
fn etcd_3_4_keeps_its_data_over_pause_and_kill_until_wiped() -> Result<()> {
    keeps_data_over_faults(Version::V3_4)
}

#[test]
fn etcd_3_5_keeps_its_data_over_pause_and_kill_until_wiped() -> Result<()> {
    keeps_data_over_faults(Version::V3_5)
}

/// As above, but its cluster id is drawn with its data.
#[test]
fn an_embedded_store_keeps_its_data_until_wiped() -> Result<()> {
    let mut etcd = Etcd::start(Version::Embedded)?;
    let server = etcd.endpoint();
    etcd.etcdctl(&["put", "k", "v"])?;
    etcd.pause()?;
    let paused = etcd.ctl()?.timeout(SHORT).run(&["get", "k"]);
    is_refused(paused, "deadline exceeded")?;
    etcd.resume()?;
    etcd.wait_ready(SLACK)?;

    let (revision, cluster) = (etcd.revision()?, etcd.cluster_id()?);
    etcd.kill()?;
    let refused = TcpStream::connect(server.trim_start_matches("http://"));
    ensure!(refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused));
    etcd.restart()?;
    assert_eq!(etcd.endpoint(), server);
    assert_eq!(etcd.etcdctl(&["get", "k", "--print-value-only"])?, "v");
    assert_eq!((etcd.revision()?, etcd.cluster_id()?), (revision, cluster));

    etcd.restart_as_another()?;
    assert_eq!(etcd.etcdctl(&["get", "k", "--print-value-only"])?, "");
    assert_eq!(etcd.revision()?, 1);
    assert_ne!(etcd.cluster_id()?, cluster);
    Ok(())
}

#[test]
fn each_version_and_its_etcdctl_report_that_version() -> Result<()> {
    for (version, line) in [(Version::V3_4, "3.4."), (Version::V3_5, "3.5.")] {
        for binary in [version.etcd()?, version.etcdctl()?] {
            let argument = if binary.ends_with("etcdctl") {
                "version"
            } else {
                "--version"
            };
            let output = Command::new(&binary)
                .arg(argument)
                .env("ETCDCTL_API", "3")
                .output();
            let output = output.with_context(|| format!("running {}", binary.display()))?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let first = said.lines().next().unwrap_or_default();
            ensure!(first.contains(line), "{} says {first}", binary.display());
        }
    }
    Ok(())
}

#[test]
fn a_paused_etcd_ends_with_its_owner_and_leaves_no_data() -> Result<()> {
    let mut etcd = Etcd::builder(Version::V3_5).users().start()?;
    let pid = etcd.node(0)?.process()?.pid();
    let file = etcd
        .password_file()
        .context("a server with users has a password file")?;
    etcd.pause()?;
    assert!(is_there(pid) && file.exists());
    drop(etcd);
    assert!(!is_there(pid));
    assert!(!file.exists());
    Ok(())
}

#[test]
fn leases_locks_and_compaction_are_at_the_operators_hand() -> Result<()> {
    let etcd = Etcd::start(Version::V3_4)?;
    let mut first = etcd.spawn_etcdctl(&["lock", "/leasehold/locks/l", "--ttl", "60"])?;
    let key = first.wait_line(SLACK, |line| line.starts_with("/leasehold/locks/l/"))?;
    let lease = key
        .rsplit('/')
        .next()
        .context("a lock key ends with its lease")?;
    assert_eq!(etcd.wait_holder("/leasehold/locks/l/", SLACK)?, key);

    let other = etcd.ctl()?.version(Version::V3_5)?;
    let second = other.spawn(&["lock", "/leasehold/locks/l", "--ttl", "60"])?;
    eventually(SLACK, "a second entry in the queue", || {
        let queue = etcd.queue("/leasehold/locks/l/")?;
        ensure!(queue.len() == 2 && queue[0] == key, "{queue:?}");
        Ok(())
    })?;
    assert!(
        second.lines().is_empty(),
        "the second holds what the first holds"
    );

    etcd.revoke(lease)?;
    let next = second.wait_line(SLACK, |line| line.starts_with("/leasehold/locks/l/"))?;
    assert_ne!(next, key);
    first.process().kill()?;

    let revision = etcd.compact()?;
    let old = (revision - 1).to_string();
    is_refused(etcd.etcdctl(&["get", "k", "--rev", &old]), "compacted")?;
    ensure!(
        etcd.metric("etcd_mvcc_delete_total", "")?
            + etcd.metric("etcd_debugging_mvcc_delete_total", "")?
            > 0.0
    );
    Ok(())
}

#[test]
fn a_cluster_of_three_goes_on_without_its_paused_leader() -> Result<()> {
    let mut etcd = Etcd::builder(Version::V3_5).nodes(3).start()?;
    etcd.etcdctl(&["put", "k", "v"])?;
    let leader = etcd.leader()?;
    etcd.node(leader)?.process()?.stop()?;
    let follower = etcd.endpoints()[(leader + 1) % 3].clone();
    eventually(SLACK, "a write without the old leader", || {
        etcd.ctl()?.via(&follower).run(&["put", "k", "w"])
    })?;
    let next = eventually(SLACK, "another leader", || {
        etcd.ctl()?
            .via(&follower)
            .run(&["get", "k", "--print-value-only"])
    })?;
    assert_eq!(next, "w");
    etcd.node(leader)?.process()?.cont()?;
    etcd.wait_ready(SLACK)
}
