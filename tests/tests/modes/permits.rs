//! Permits: as many as there are, in order, and none lost.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{Acquire, AcquireError, ConnectOptions, LockWait, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::{all_wait, client, granted, holders_and_waiters, queue_of, refused, start};

const NAME: &str = "/modes/permits";

on_every_store!(
    async permits_are_granted_up_to_the_capacity_and_in_order,
    a_differing_capacity_is_refused_with_the_entrys_key,
    permits_of_a_killed_holder_return_with_its_lease,
    a_try_takes_permits_that_are_free_and_no_others,
    forty_waiters_take_four_permits_in_turn,
);

fn permits(weight: u32, of: u32) -> Result<Acquire> {
    Ok(Acquire::new(NAME).permits(weight, of)?)
}

async fn permits_are_granted_up_to_the_capacity_and_in_order(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let one = a.acquire(permits(1, 4)?).await?;
    ensure!(one.key().ends_with("-p1.4"), "{}", one.key());
    let two = b.acquire(permits(2, 4)?).await?;
    let heavy = start(&a, permits(3, 4)?);
    queue_of(&a, NAME, 3).await?;
    // One permit is free, and the light waiter stays behind the heavy one.
    let light = start(&b, permits(1, 4)?);
    queue_of(&a, NAME, 4).await?;
    all_wait(&[&heavy, &light]).await?;
    ensure!(holders_and_waiters(&a, NAME).await? == (2, 2));
    one.release().await?;
    all_wait(&[&heavy, &light]).await?;
    two.release().await?;
    let (heavy, light) = (granted(heavy).await?, granted(light).await?);
    ensure!(heavy.tenure().admits() && light.tenure().admits());
    // An exclusive entry takes all of it.
    let alone = start(&a, Acquire::new(NAME));
    queue_of(&a, NAME, 3).await?;
    light.release().await?;
    all_wait(&[&alone]).await?;
    heavy.release().await?;
    granted(alone).await.map(drop)
}

async fn a_differing_capacity_is_refused_with_the_entrys_key(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let held = a.acquire(permits(1, 3)?).await?;
    for wait in [LockWait::Never, LockWait::Forever] {
        let error = refused(start(&b, permits(1, 5)?.wait(wait))).await?;
        let text = error.to_string();
        let AcquireError::CapacityDiffers {
            entry,
            theirs,
            ours,
            ..
        } = error
        else {
            bail!("refused otherwise: {text}");
        };
        ensure!(
            (entry.as_str(), theirs, ours) == (held.key(), 3, 5),
            "{text}"
        );
        ensure!(
            text.contains("has 3 permits") && text.contains(held.key()),
            "{text}"
        );
    }
    queue_of(&a, NAME, 1).await?;
    ensure!(held.tenure().admits());
    held.release().await?;
    b.acquire(permits(1, 5)?).await?.release().await?;
    // No request for more than there are can be made.
    ensure!(permits(4, 3).is_err() && permits(0, 3).is_err());
    Ok(())
}

/// The permits of a dead client come back, all three of them, when its lease ends.
async fn permits_of_a_killed_holder_return_with_its_lease(version: Version) -> Result<()> {
    const TTL: Duration = Duration::from_secs(3);
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let dead = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
    let other = client(etcd.endpoints()).await?;
    let held = dead.acquire(permits(3, 4)?.ttl(TTL)).await?;
    let beside = other.acquire(permits(1, 4)?).await?;
    let waiting = start(&other, permits(3, 4)?);
    queue_of(&other, NAME, 3).await?;
    proxy.set(Mode::DropBoth);
    all_wait(&[&waiting]).await?;
    let after = granted(waiting).await?;
    ensure!(!held.tenure().admits(), "both hold the same permits");
    queue_of(&other, NAME, 2).await?;
    ensure!(beside.tenure().admits());
    after.release().await?;
    beside.release().await?;
    // The sum of what can be had at once is the capacity again.
    let all = other.acquire(permits(4, 4)?.wait(LockWait::Never)).await?;
    all.release().await?;
    drop(held);
    proxy.reset();
    proxy.set(Mode::Pass);
    dead.close().await;
    Ok(())
}

async fn a_try_takes_permits_that_are_free_and_no_others(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let try_it = |weight| anyhow::Ok(permits(weight, 3)?.wait(LockWait::Never));
    let one = a.acquire(try_it(1)?).await?;
    let two = b.acquire(try_it(2)?).await?;
    let revision = etcd.revision()?;
    match a.acquire(try_it(1)?).await {
        Err(AcquireError::Contended { holder, ahead, .. }) => {
            ensure!(holder == one.key() && ahead == 2, "{holder}, {ahead}");
        }
        other => bail!("not contended: {other:?}"),
    }
    ensure!(etcd.revision()? == revision, "the store was changed");
    one.release().await?;
    ensure!(a.acquire(try_it(1)?).await?.tenure().admits());
    ensure!(two.tenure().admits());
    Ok(())
}

async fn forty_waiters_take_four_permits_in_turn(version: Version) -> Result<()> {
    const WAITERS: usize = 40;
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let all = a.acquire(permits(4, 4)?).await?;
    let mut waiting = Vec::new();
    for n in 0..WAITERS {
        waiting.push(start(if n % 2 == 0 { &a } else { &b }, permits(1, 4)?));
        queue_of(&a, NAME, n + 2).await?;
    }
    all.release().await?;
    let mut held = std::collections::VecDeque::new();
    for (n, waiter) in waiting.into_iter().enumerate() {
        held.push_back(granted(waiter).await?);
        ensure!(held.iter().all(|grant| grant.tenure().admits()));
        if held.len() == 4 {
            let left = WAITERS - 1 - n;
            ensure!(holders_and_waiters(&a, NAME).await? == (4, left));
            held.pop_front().context("four are held")?.release().await?;
        }
    }
    Ok(())
}
