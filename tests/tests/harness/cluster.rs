//! Clusters: an isolated member is without the others and within reach of clients, and restored data is older.

use anyhow::{Context, Result, ensure};
use leasehold_tests::cluster::Cluster;
use leasehold_tests::etcd::Version;
use leasehold_tests::wait::eventually;
use leasehold_tests::{on_etcd, on_every_store};

use crate::{SHORT, SLACK, is_refused};

on_etcd!(
    an_isolated_leader_is_replaced_and_comes_back_as_a_follower,
    a_member_that_was_killed_starts_again_with_its_data,
);

on_every_store!(a_restored_store_has_the_revision_of_its_copy);

fn an_isolated_leader_is_replaced_and_comes_back_as_a_follower(version: Version) -> Result<()> {
    let mut cluster = Cluster::start(version, 3)?;
    let old = cluster.leader()?;
    let others = cluster.others(old);
    cluster.isolate(old)?;
    let new = cluster.leader_among(&others)?;
    ensure!(new != old);
    cluster.ctl(&others)?.run(&["put", "key", "new"])?;
    // Clients reach it, and it has nobody to agree with.
    let alone = cluster.ctl(&[old])?;
    let local = alone.run(&["get", "key", "--consistency=s"])?;
    ensure!(local.is_empty(), "the write came through: {local}");
    let linear = alone.timeout(SHORT).run(&["get", "key"]);
    is_refused(linear, "")?;

    cluster.heal();
    eventually(SLACK, "the isolated member to catch up", || {
        let seen = cluster
            .ctl(&[old])?
            .run(&["get", "key", "--print-value-only"])?;
        ensure!(seen == "new", "it has {seen:?}");
        Ok(())
    })?;
    cluster.etcd().wait_ready(SLACK)
}

fn a_member_that_was_killed_starts_again_with_its_data(version: Version) -> Result<()> {
    let mut cluster = Cluster::start(version, 3)?;
    let leader = cluster.leader()?;
    cluster.ctl(&[leader])?.run(&["put", "key", "value"])?;
    cluster.kill(leader)?;
    let others = cluster.others(leader);
    cluster.leader_among(&others)?;
    cluster.restart(leader)?;
    let found = cluster
        .ctl(&[leader])?
        .run(&["get", "key", "--print-value-only"])?;
    ensure!(found == "value", "it has {found:?}");
    // Connections that it opens after its start are known by its new process.
    cluster.isolate(leader)?;
    cluster.ctl(&others)?.run(&["put", "key", "other"])?;
    let local =
        cluster
            .ctl(&[leader])?
            .run(&["get", "key", "--print-value-only", "--consistency=s"])?;
    ensure!(local == "value", "an isolated member has {local:?}");
    Ok(())
}

fn a_restored_store_has_the_revision_of_its_copy(version: Version) -> Result<()> {
    let mut cluster = Cluster::start(version, 1)?;
    let etcd = cluster.etcd();
    etcd.etcdctl(&["put", "key", "copied"])?;
    let (then, id) = (etcd.revision()?, etcd.cluster_id()?);
    let torn = cluster.copy_data(0).map(|_| String::new());
    is_refused(torn, "would be torn")?;
    cluster.stop(0)?;
    let copy = cluster.copy_data(0)?;
    cluster.restart(0)?;
    cluster.etcd().etcdctl(&["put", "key", "later"])?;
    ensure!(cluster.etcd().revision()? > then);

    cluster.go_back_to(&copy)?;
    let etcd = cluster.etcd();
    ensure!(etcd.revision()? == then && etcd.cluster_id()? == id);
    let found = etcd.etcdctl(&["get", "key", "--print-value-only"])?;
    ensure!(found == "copied", "it has {found:?}");
    // The proxy in front of it outlives the restart.
    let front = cluster.via(&[0]).pop().context("no proxy")?;
    let through = cluster.etcd().ctl()?.via(front);
    through.run(&["put", "key", "through"]).map(drop)
}
