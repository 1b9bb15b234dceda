//! Several endpoints: one that is down is passed over, and a lock outlives the one it was taken on.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, Grant, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

/// Nobody listens there: a port below those that anything is given.
const DOWN: &str = "http://127.0.0.1:9";
const TTL: Duration = Duration::from_secs(6);

on_every_store!(
    async an_endpoint_that_is_down_is_passed_over_wherever_it_stands,
    a_lock_outlives_the_endpoint_it_was_taken_on_when_that_refuses,
    a_lock_outlives_the_endpoint_it_was_taken_on_when_that_falls_silent,
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
        // The first write may be the one that finds the way closed.
        let _ = kv.put_fenced(&fence, "/library/ways-data", b"x").await;
        kv.put_fenced(&fence, "/library/ways-data", b"y").await?;
        self.grant.release().await?;
        Ok(())
    }
}

async fn a_lock_outlives_the_endpoint_it_was_taken_on_when_that_refuses(
    version: Version,
) -> Result<()> {
    let ways = TwoWays::start(version).await?;
    ways.first.set(Mode::Refuse);
    ways.first.reset();
    ways.stays_held().await
}

async fn a_lock_outlives_the_endpoint_it_was_taken_on_when_that_falls_silent(
    version: Version,
) -> Result<()> {
    let ways = TwoWays::start(version).await?;
    ways.first.set(Mode::DropBoth);
    ways.stays_held().await
}
