//! An acquisition that the store carries out and whose answer never arrives.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode, Trigger};

use crate::scene::{
    PULSE, SLACK, TTL, create_revision, end_host, judge, lease_of, lock_prefix, next, one_job,
    runs, since, token, wait_queue,
};

on_every_store!(
    an_acquisition_with_a_lost_answer_is_made_once,
    a_queue_place_with_a_lost_answer_is_taken_once,
    a_lost_acquisition_of_an_ended_session_leaves_nothing,
);

/// Begin of the value of host `a`'s entry, which only the request that makes it contains.
const ENTRY_OF_A: &str = r#"{"host":"a","job":"pulse""#;

/// Starts host `a` behind a proxy that passes the so many-th request with its entry on and loses the answer.
///
/// The first takes the lock if it is free, and does nothing if it is not; the second then joins the queue.
fn lose_the_answer(etcd: &Etcd, request: usize) -> Result<(FaultProxy, HostProcess)> {
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let entry = ENTRY_OF_A.as_bytes().to_vec();
    proxy.arm(Trigger::Times(entry, request), Mode::DropResponses);
    let a = HostProcess::start(&one_job("a", &proxy.endpoint())?)?;
    proxy.wait_fired(SLACK)?;
    Ok((proxy, a))
}

/// Drops all bytes under way, and lets everything through from now on.
fn heal(proxy: &FaultProxy) {
    proxy.reset();
    proxy.set(Mode::Pass);
}

fn an_acquisition_with_a_lost_answer_is_made_once(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (proxy, mut a) = lose_the_answer(&etcd, 1)?;
    let key = wait_queue(&etcd, PULSE, "one entry", |queue| queue.len() == 1)?.remove(0);
    let made_at = create_revision(&etcd, &key)?;
    ensure!(
        since(&a, 0, PULSE, "acquired").is_empty(),
        "the answer was not lost"
    );
    heal(&proxy);
    let run = runs(&a, 0, PULSE)?;
    ensure!(
        token(&run)? == made_at,
        "{run} is not under the entry made at {made_at}"
    );
    ensure!(
        etcd.queue(&lock_prefix(PULSE))? == [key],
        "there is another entry"
    );
    end_and_look_for_leftovers(&etcd, &mut [&mut a])
}

fn a_queue_place_with_a_lost_answer_is_taken_once(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut b = HostProcess::start(&one_job("b", &etcd.endpoint())?)?;
    runs(&b, 0, PULSE)?;
    let (proxy, mut a) = lose_the_answer(&etcd, 2)?;
    let queue = wait_queue(&etcd, PULSE, "two entries", |queue| queue.len() == 2)?;
    let made_at = create_revision(&etcd, &queue[1])?;
    heal(&proxy);
    next(&a, 0, PULSE, "waiting")?;
    ensure!(
        etcd.queue(&lock_prefix(PULSE))? == queue,
        "the queue changed"
    );
    end_host(&mut b)?;
    let run = runs(&a, 0, PULSE)?;
    ensure!(
        token(&run)? == made_at,
        "{run} is not under the entry made at {made_at}"
    );
    end_and_look_for_leftovers(&etcd, &mut [&mut a, &mut b])
}

fn a_lost_acquisition_of_an_ended_session_leaves_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (proxy, mut a) = lose_the_answer(&etcd, 1)?;
    let first = wait_queue(&etcd, PULSE, "one entry", |queue| queue.len() == 1)?.remove(0);
    std::thread::sleep(TTL + Duration::from_millis(500));
    heal(&proxy);
    let run = runs(&a, 0, PULSE)?;
    let queue = wait_queue(&etcd, PULSE, "one entry", |queue| queue.len() == 1)?;
    ensure!(
        lease_of(&queue[0]) != lease_of(&first)
            && token(&run)? == create_revision(&etcd, &queue[0])?,
        "{run} under {queue:?}, after {first}"
    );
    end_and_look_for_leftovers(&etcd, &mut [&mut a])
}

/// Every host acquired once; no entry exists under the lock once all have ended.
fn end_and_look_for_leftovers(etcd: &Etcd, hosts: &mut [&mut HostProcess]) -> Result<()> {
    for host in hosts.iter_mut() {
        end_host(host)?;
        let acquired = since(host, 0, PULSE, "acquired");
        ensure!(acquired.len() == 1, "{acquired:?}");
    }
    // The hosts have ended and revoked their leases: an entry that still exists would exist for ever.
    let left = etcd.queue(&lock_prefix(PULSE))?;
    ensure!(left.is_empty(), "{left:?} was left behind");
    let hosts: Vec<_> = hosts.iter().map(|host| &**host).collect();
    judge(&hosts, &Circumstances::default()).map(drop)
}
