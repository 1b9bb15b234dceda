//! One queue of hosts and `etcdctl`s: each waits for the entry before it, of either kind.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::RunningEtcdctl;
use leasehold_tests::etcdctl_lock::{etcdctl_lock, held_key, let_go};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{A_WHILE, NAME, SLACK, acquired, beater, end, has_acquired, queue_of};

on_every_store!(
    hosts_and_etcdctls_of_both_versions_queue_behind_each_other,
    a_dead_etcdctl_is_waited_for_until_its_lease_ends,
);

/// Checks that only the holder has the lock, after a time in which the others would have acquired it.
fn no_other_holds(hosts: &[&HostProcess], etcdctls: &[&RunningEtcdctl]) -> Result<()> {
    std::thread::sleep(A_WHILE);
    for host in hosts {
        ensure!(!has_acquired(host), "a host went ahead of its turn");
    }
    for etcdctl in etcdctls {
        let lines = etcdctl.lines();
        ensure!(lines.is_empty(), "etcdctl went ahead: {lines:?}");
    }
    Ok(())
}

fn hosts_and_etcdctls_of_both_versions_queue_behind_each_other(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let first = etcdctl_lock(&etcd, Version::V3_4, NAME)?;
    let first_key = held_key(&first, NAME)?;
    let host_a = HostProcess::start(&beater("host-a", &etcd)?)?;
    queue_of(&etcd, 2)?;
    let third = etcdctl_lock(&etcd, Version::V3_5, NAME)?;
    queue_of(&etcd, 3)?;
    let host_b = HostProcess::start(&beater("host-b", &etcd)?)?;
    queue_of(&etcd, 4)?;
    let fifth = etcdctl_lock(&etcd, Version::V3_4, NAME)?;
    let queue = queue_of(&etcd, 5)?;
    ensure!(queue[0] == first_key, "{queue:?}");

    // Each host knows who holds the lock and how many are ahead of it.
    for (host, place) in [(&host_a, 1), (&host_b, 3)] {
        let waiting = host.wait_for(SLACK, |event| event.is("waiting"))?;
        ensure!(waiting.u64("place") == Some(place), "{waiting}");
        ensure!(waiting.str("holder") == Some(&first_key), "{waiting}");
    }
    no_other_holds(&[&host_a, &host_b], &[&third, &fifth])?;

    let_go(first)?;
    let token_a = acquired(&host_a)?.token().context("no token")?;
    no_other_holds(&[&host_b], &[&third, &fifth])?;
    end(host_a)?;
    ensure!(held_key(&third, NAME)? == queue[2]);
    no_other_holds(&[&host_b], &[&fifth])?;
    let_go(third)?;
    let token_b = acquired(&host_b)?.token().context("no token")?;
    ensure!(token_b > token_a, "{token_a}, then {token_b}");
    no_other_holds(&[], &[&fifth])?;
    end(host_b)?;
    ensure!(held_key(&fifth, NAME)? == queue[4]);
    let_go(fifth)?;
    queue_of(&etcd, 0).map(drop)
}

/// A foreign holder that is killed is waited for until its lease ends, and no longer.
fn a_dead_etcdctl_is_waited_for_until_its_lease_ends(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut dead = etcd.spawn_etcdctl(&["lock", "--ttl", "3", NAME])?;
    let key = held_key(&dead, NAME)?;
    let host = HostProcess::start(&beater("host-a", &etcd)?)?;
    queue_of(&etcd, 2)?;
    dead.process().kill()?;
    ensure!(!has_acquired(&host), "before the dead holder's lease ended");
    acquired(&host)?;
    let queue = queue_of(&etcd, 1)?;
    ensure!(queue[0] != key, "its entry is still there");
    end(host)
}
