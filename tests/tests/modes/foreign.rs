//! Strangers among readers and permits: `etcdctl lock` of both versions, and keys whose suffix is not their own.

use anyhow::{Result, ensure};
use leasehold_lock::{Acquire, LeaseId, LockWait};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl_lock::{etcdctl_lock, held_key, let_go};
use leasehold_tests::on_every_store;

use crate::{all_wait, client, granted, holders_and_waiters, queue_of, start};

const NAME: &str = "/modes/foreign";

on_every_store!(
    async etcdctls_of_both_versions_are_exclusive_among_readers,
    etcdctl_waits_for_permits_and_permits_wait_for_etcdctl,
    a_suffix_under_another_lease_or_none_is_exclusive,
);

async fn etcdctls_of_both_versions_are_exclusive_among_readers(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let read = || Acquire::new(NAME).shared();
    let (first, second) = (a.acquire(read()).await?, b.acquire(read()).await?);
    let old = etcdctl_lock(&etcd, Version::V3_4, NAME)?;
    queue_of(&a, NAME, 3).await?;
    let third = start(&a, read());
    queue_of(&a, NAME, 4).await?;
    let new = etcdctl_lock(&etcd, Version::V3_5, NAME)?;
    queue_of(&a, NAME, 5).await?;
    let fourth = start(&b, read());
    let queue = queue_of(&a, NAME, 6).await?;

    all_wait(&[&third, &fourth]).await?;
    ensure!(
        old.lines().is_empty() && new.lines().is_empty(),
        "etcdctl went ahead"
    );
    first.release().await?;
    all_wait(&[&third, &fourth]).await?;
    ensure!(old.lines().is_empty(), "beside a reader");
    second.release().await?;
    ensure!(held_key(&old, NAME)? == queue[2]);
    all_wait(&[&third, &fourth]).await?;
    let_go(old)?;
    let third = granted(third).await?;
    all_wait(&[&fourth]).await?;
    ensure!(new.lines().is_empty(), "beside a reader");
    third.release().await?;
    ensure!(held_key(&new, NAME)? == queue[4]);
    all_wait(&[&fourth]).await?;
    let_go(new)?;
    granted(fourth).await.map(drop)
}

async fn etcdctl_waits_for_permits_and_permits_wait_for_etcdctl(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let permit = || Acquire::new(NAME).permits(1, 3);
    let (first, second) = (
        locks.acquire(permit()?).await?,
        locks.acquire(permit()?).await?,
    );
    let foreign = etcdctl_lock(&etcd, Version::V3_4, NAME)?;
    queue_of(&locks, NAME, 3).await?;
    // One permit is free, and the stranger ahead takes them all.
    let third = start(&locks, permit()?);
    queue_of(&locks, NAME, 4).await?;
    all_wait(&[&third]).await?;
    first.release().await?;
    all_wait(&[&third]).await?;
    ensure!(foreign.lines().is_empty(), "beside permits");
    second.release().await?;
    held_key(&foreign, NAME)?;
    all_wait(&[&third]).await?;
    let_go(foreign)?;
    granted(third).await.map(drop)
}

/// A hold by hand, or a copy of another client's entry, must keep readers out whatever its name is.
async fn a_suffix_under_another_lease_or_none_is_exclusive(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let lease = other.acquire(Acquire::new("/modes/other")).await?;
    let own = format!("{:x}", lease.lease().get());
    for (name, carrier) in [
        ("694d77aa-r".to_owned(), LeaseId::NONE),
        ("0-r".to_owned(), LeaseId::NONE),
        (format!("{own}-r"), LeaseId::NONE),
        ("694d77aa-r".to_owned(), lease.lease()),
        (format!("{own}-p1.3"), LeaseId::NONE),
        (format!("{own}-x"), lease.lease()),
        (own.clone(), lease.lease()),
    ] {
        let key = format!("{NAME}/{name}");
        other.kv().put(&key, b"", carrier).await?;
        for request in [
            Acquire::new(NAME).shared(),
            Acquire::new(NAME).permits(1, 3)?,
        ] {
            let at_once = locks.acquire(request.clone().wait(LockWait::Never)).await;
            ensure!(at_once.is_err(), "granted beside {key} on {carrier}");
            let waiting = start(&locks, request);
            queue_of(&other, NAME, 2).await?;
            ensure!(holders_and_waiters(&other, NAME).await? == (1, 1), "{key}");
            waiting.abort();
            queue_of(&other, NAME, 1).await?;
        }
        ensure!(other.kv().delete(&key).await?);
    }
    // Under its own lease it is what it claims to be.
    let key = format!("{NAME}/{own}-r");
    other.kv().put(&key, b"", lease.lease()).await?;
    let reader = Acquire::new(NAME).shared().wait(LockWait::Never);
    ensure!(locks.acquire(reader).await?.tenure().admits());
    Ok(())
}
