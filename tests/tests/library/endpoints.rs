//! Several endpoints: a client skips one that is down, and a lock outlives the endpoint of its acquisition.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, Grant, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::queue_of;

/// An address without a listener: a port below those that tests are given.
const DOWN: &str = "http://127.0.0.1:9";
const TTL: Duration = Duration::from_secs(6);

on_every_store!(
    async an_endpoint_that_is_down_is_passed_over_wherever_it_stands,
    a_lock_outlives_its_endpoint_that_refuses,
    a_lock_outlives_its_endpoint_that_falls_silent,
    lock_outlives_two_of_three_endpoints_that_fall_silent,
    a_request_of_a_silent_endpoint_is_soon_answered_elsewhere,
    silent_endpoints_before_a_working_one_do_not_stop_a_connect,
);

async fn an_endpoint_that_is_down_is_passed_over_wherever_it_stands(
    version: Version,
) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let up = etcd.endpoint();
    for endpoints in [[DOWN, &up], [&up, DOWN]] {
        let locks = Locks::connect(ConnectOptions::new(endpoints)).await?;
        // Often, because a request in two would go astray if they were spread.
        for _ in 0..20 {
            let grant = locks.acquire(Acquire::new("/library/endpoints")).await?;
            let fence = grant.fence();
            locks.kv().put_fenced(&fence, "/library/data", b"x").await?;
            grant.release().await?;
        }
        locks.close().await;
    }
    Ok(())
}

/// Two ways to one store, and a lock taken over the first.
struct TwoWays {
    _etcd: Etcd,
    first: FaultProxy,
    _second: FaultProxy,
    locks: Locks,
    grant: Grant,
}

impl TwoWays {
    async fn start(version: Version) -> Result<Self> {
        let etcd = Etcd::start(version)?;
        let first = FaultProxy::start(&etcd.endpoint())?;
        let second = FaultProxy::start(&etcd.endpoint())?;
        let endpoints = [first.endpoint(), second.endpoint()];
        let options = ConnectOptions::new(endpoints).request_timeout(Duration::from_secs(1));
        let locks = Locks::connect(options).await?;
        let grant = locks
            .acquire(Acquire::new("/library/ways").ttl(TTL))
            .await?;
        ensure!(second.accepted() == 0, "the second way is in use already");
        Ok(Self {
            _etcd: etcd,
            first,
            _second: second,
            locks,
            grant,
        })
    }

    /// Past the time at which the lease would have ended without a renewal.
    async fn stays_held(self) -> Result<()> {
        tokio::time::sleep(TTL + TTL / 2).await;
        ensure!(self.grant.tenure().admits(), "{:?}", self.grant.tenure());
        let fence = self.grant.fence();
        let kv = self.locks.kv();
        // The first write may find the connection closed.
        let _ = kv.put_fenced(&fence, "/library/ways-data", b"x").await;
        kv.put_fenced(&fence, "/library/ways-data", b"y").await?;
        self.grant.release().await?;
        Ok(())
    }
}

async fn a_lock_outlives_its_endpoint_that_refuses(version: Version) -> Result<()> {
    let ways = TwoWays::start(version).await?;
    ways.first.set(Mode::Refuse);
    ways.first.reset();
    ways.stays_held().await
}

async fn a_lock_outlives_its_endpoint_that_falls_silent(version: Version) -> Result<()> {
    let ways = TwoWays::start(version).await?;
    ways.first.set(Mode::DropBoth);
    ways.stays_held().await
}

/// Three ways to one store.
fn three_ways(etcd: &Etcd) -> Result<[FaultProxy; 3]> {
    let way = || FaultProxy::start(&etcd.endpoint());
    Ok([way()?, way()?, way()?])
}

/// Fails when endpoints are tried one after the other, with a third of the TTL for each.
async fn lock_outlives_two_of_three_endpoints_that_fall_silent(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let ways = three_ways(&etcd)?;
    let endpoints = ways.each_ref().map(FaultProxy::endpoint);
    let locks = Locks::connect(ConnectOptions::new(endpoints)).await?;
    let ttl = Duration::from_secs(10);
    let request = Acquire::new("/library/three").ttl(ttl);
    let grant = locks.acquire(request).await?;
    // A good part of the lease is used up when the silence begins.
    tokio::time::sleep(ttl.mul_f64(0.7)).await;
    ways[0].set(Mode::DropBoth);
    ways[1].set(Mode::DropBoth);
    let lost = tokio::time::timeout(ttl * 3 / 2, grant.tenure().ended()).await;
    ensure!(lost.is_err() && grant.tenure().admits(), "lost: {lost:?}");
    ensure!(ways[2].accepted() > 0);
    // The first request of ours may find the connection closed; the removal is retried behind it.
    let _ = grant.release().await;
    queue_of(&locks, "/library/three", 0).await?;
    locks.close().await;
    Ok(())
}

/// The first request may be lost with its endpoint, but it makes the client switch, long before its
/// own time is over.
async fn a_request_of_a_silent_endpoint_is_soon_answered_elsewhere(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let ways = three_ways(&etcd)?;
    let endpoints = ways.each_ref().map(FaultProxy::endpoint);
    let options = ConnectOptions::new(endpoints).request_timeout(Duration::from_secs(20));
    let locks = Locks::connect(options).await?;
    ways[0].set(Mode::DropBoth);
    ways[1].set(Mode::DropBoth);
    let kv = locks.kv();
    let lost = tokio::spawn(async move { kv.get("/library/lost").await });
    let answered = async {
        loop {
            let kv = locks.kv();
            let asked = tokio::time::timeout(Duration::from_secs(1), kv.get("/library/x")).await;
            if let Ok(answer) = asked {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), answered).await??;
    ensure!(!lost.is_finished(), "the first request was given up");
    // The request under way was not disturbed: when its way is well again, so is its answer.
    ways[0].set(Mode::Pass);
    ensure!(lost.await??.is_none());
    locks.close().await;
    Ok(())
}

async fn silent_endpoints_before_a_working_one_do_not_stop_a_connect(
    version: Version,
) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let ways = three_ways(&etcd)?;
    ways[0].set(Mode::DropBoth);
    ways[1].set(Mode::DropBoth);
    let endpoints = ways.each_ref().map(FaultProxy::endpoint);
    let options = ConnectOptions::new(endpoints).request_timeout(Duration::from_mins(1));
    let connecting = Locks::connect(options);
    let locks = tokio::time::timeout(Duration::from_secs(30), connecting).await??;
    locks.close().await;
    Ok(())
}
