//! A put whose answer never came, on a real network: it arrives when its lock has long been given back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, LeaseId, LockWait, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::eventually_async;

use crate::{SLACK, client, queue_of, start};

on_every_store!(
    async put_delayed_beyond_its_lock_s_release_leaves_no_entry,
    a_put_delayed_past_its_locks_release_finds_its_lease_revoked,
    a_cancelled_acquisitions_entry_is_deleted_once_connected,
    closing_is_bounded_while_the_store_is_frozen,
    a_lost_sessions_entry_is_deleted_once_the_store_is_back,
);

const NAME: &str = "/library/late";
/// Longer than any scenario here: no entry ends with its lease.
const TTL: Duration = Duration::from_mins(2);

/// Two ways to one store, and a lock taken, given back, and put once more by a request that is still under way.
struct Late {
    etcd: Etcd,
    slow: FaultProxy,
    _quick: FaultProxy,
    locks: Locks,
    lease: LeaseId,
}

/// A put that is held up this long is given up, repeated elsewhere, and arrives.
const DELAY: Duration = Duration::from_secs(6);

impl Late {
    async fn start(version: Version) -> Result<Self> {
        let etcd = Etcd::start(version)?;
        let slow = FaultProxy::start(&etcd.endpoint())?;
        let quick = FaultProxy::start(&etcd.endpoint())?;
        let endpoints = [slow.endpoint(), quick.endpoint()];
        let options = ConnectOptions::new(endpoints).request_timeout(Duration::from_secs(1));
        let locks = Locks::connect(options).await?;
        let warm = locks.acquire(Acquire::new(NAME).ttl(TTL)).await?;
        let lease = warm.lease();
        warm.release().await?;
        Ok(Self {
            etcd,
            slow,
            _quick: quick,
            locks,
            lease,
        })
    }

    /// Gives the lock back while a put for it is on its way.
    async fn take_and_release(&self) -> Result<()> {
        self.slow.set(Mode::Delay(DELAY));
        let grant = self.locks.acquire(Acquire::new(NAME).ttl(TTL)).await?;
        ensure!(grant.lease() == self.lease);
        grant.release().await?;
        Ok(())
    }
}

async fn put_delayed_beyond_its_lock_s_release_leaves_no_entry(version: Version) -> Result<()> {
    let late = Late::start(version).await?;
    // Keeps the lease alive: only looking finds the entry.
    let other = Acquire::new("/library/other").ttl(TTL);
    let other = late.locks.acquire(other).await?;
    let observer = client(late.etcd.endpoints()).await?;
    let mut view = observer.view("/library/");
    late.take_and_release().await?;
    let appeared = async {
        while !view.queues().contains_key(NAME) {
            view.next().await.context("the view ended")?;
        }
        anyhow::Ok(())
    };
    // The answer of the warm-up's entry may still be shown; the late one appears after that is deleted.
    queue_of(&observer, NAME, 0).await?;
    tokio::time::timeout(SLACK, appeared)
        .await
        .context("the late put did not arrive")??;
    queue_of(&observer, NAME, 0).await?;
    let next = Acquire::new(NAME).wait(LockWait::AtMost(SLACK));
    observer.acquire(next).await?.release().await?;
    ensure!(other.tenure().admits(), "another lock went along");
    other.release().await?;
    late.locks.close().await;
    observer.close().await;
    Ok(())
}

async fn a_put_delayed_past_its_locks_release_finds_its_lease_revoked(
    version: Version,
) -> Result<()> {
    let late = Late::start(version).await?;
    let observer = client(late.etcd.endpoints()).await?;
    late.take_and_release().await?;
    eventually_async(SLACK, "the lease is revoked", || async {
        let left = observer.lease_ttl(late.lease).await?;
        ensure!(left.is_none(), "{left:?}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(DELAY).await;
    queue_of(&observer, NAME, 0).await?;
    let again = late.locks.acquire(Acquire::new(NAME).ttl(TTL)).await?;
    ensure!(again.lease() != late.lease);
    again.release().await?;
    late.locks.close().await;
    observer.close().await;
    Ok(())
}

/// The network is away for longer than a number of looks would last, and the lease lives on for minutes.
async fn a_cancelled_acquisitions_entry_is_deleted_once_connected(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let locks = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
    let warm = locks.acquire(Acquire::new(NAME).ttl(TTL)).await?;
    warm.release().await?;
    proxy.cut_after_request_with(&format!("{NAME}/"));
    let acquiring = start(&locks, Acquire::new(NAME).ttl(TTL));
    proxy.wait_fired(SLACK)?;
    let observer = client(etcd.endpoints()).await?;
    queue_of(&observer, NAME, 1).await?;
    proxy.set(Mode::Refuse);
    proxy.reset();
    acquiring.abort();
    tokio::time::sleep(Duration::from_secs(14)).await;
    queue_of(&observer, NAME, 1).await?;
    proxy.set(Mode::Pass);
    queue_of(&observer, NAME, 0).await?;
    locks.close().await;
    observer.close().await;
    Ok(())
}

/// Fails when eight leases are revoked one after the other, each with the patience of a request.
async fn closing_is_bounded_while_the_store_is_frozen(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    for second in 0..8 {
        let request = Acquire::new(NAME).ttl(TTL + Duration::from_secs(second));
        locks.acquire(request).await?.release().await?;
    }
    etcd.pause()?;
    let closed = tokio::time::timeout(Duration::from_secs(12), locks.close()).await;
    etcd.resume()?;
    closed.context("closing took longer than 12 s")
}

/// A store that was restarted gives leases their full TTL again, also those whose holders gave up meanwhile.
async fn a_lost_sessions_entry_is_deleted_once_the_store_is_back(version: Version) -> Result<()> {
    const TTL: Duration = Duration::from_secs(10);
    let mut etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let options = ConnectOptions::new([proxy.endpoint()]).request_timeout(Duration::from_secs(1));
    let locks = Locks::connect(options).await?;
    let grant = locks.acquire(Acquire::new(NAME).ttl(TTL)).await?;
    proxy.set(Mode::DropBoth);
    tokio::time::sleep(TTL * 3 / 4).await;
    // Before the lease can end: it lives for the whole TTL from here on.
    etcd.restart()?;
    grant.tenure().ended().await;
    drop(grant);
    let observer = client(etcd.endpoints()).await?;
    ensure!(!observer.kv().keys(&format!("{NAME}/")).await?.is_empty());
    proxy.reset();
    proxy.set(Mode::Pass);
    // Well before the lease ends.
    eventually_async(TTL / 2, "the entry goes", || async {
        let left = observer.kv().keys(&format!("{NAME}/")).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    locks.close().await;
    Ok(())
}
