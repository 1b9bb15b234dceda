//! One lock, a few clients: waiting never, waiting a while, and giving up in every way.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use leasehold_lock::{Acquire, AcquireError, ConnectOptions, EndReason, LockWait, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::{SLACK, client, granted, queue_of, start};

const NAME: &str = "/library/acquire";

/// Length of a bounded wait.
const PATIENCE: Duration = Duration::from_millis(300);

on_every_store!(
    async a_try_leaves_no_trace_when_contended_and_takes_a_free_lock,
    a_try_whose_answer_is_lost_is_granted_or_leaves_nothing,
    a_bounded_wait_ends_contended_and_leaves_nothing,
    a_dropped_grant_frees_the_lock,
    an_acquisition_dropped_in_the_queue_frees_its_place,
    acquisitions_dropped_at_any_moment_leave_nothing,
    two_acquisitions_of_one_client_exclude_each_other,
    a_stranger_under_our_own_key_is_waited_for,
);

fn try_it() -> Acquire {
    Acquire::new(NAME).wait(LockWait::Never)
}

/// Promise P1. Fails on the mutant "a free lock is taken without asking whether it is free", see scripts/mutants.
async fn a_try_leaves_no_trace_when_contended_and_takes_a_free_lock(
    version: Version,
) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (holder, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = holder.acquire(try_it()).await?;
    let revision = etcd.revision()?;
    for locks in [&other, &holder] {
        match locks.acquire(try_it()).await {
            Err(AcquireError::Contended { holder, ahead, .. }) => {
                ensure!(holder == grant.key() && ahead == 1, "{holder}, {ahead}");
            }
            other => bail!("not contended: {other:?}"),
        }
    }
    // Not even for a moment: the store was not changed at all.
    ensure!(etcd.revision()? == revision);
    let first = grant.token();
    grant.release().await?;
    let next = other.acquire(try_it()).await?;
    ensure!(next.token() > first && next.tenure().admits());
    Ok(())
}

/// The store takes the entry and the client gets no reply: it recognises the entry as its own, or removes it.
async fn a_try_whose_answer_is_lost_is_granted_or_leaves_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let options = ConnectOptions::new([proxy.endpoint()]).request_timeout(PATIENCE);
    let (locks, operator) = (
        Locks::connect(options).await?,
        client(etcd.endpoints()).await?,
    );
    // The session is there already, so the next request with the lock's name is the entry's.
    let first = locks.acquire(Acquire::new("/library/first")).await?;
    proxy.cut_after_request_with(NAME);
    let trying = start(&locks, try_it());
    let entry = queue_of(&operator, NAME, 1).await?;
    proxy.wait_fired(SLACK)?;
    tokio::time::sleep(PATIENCE * 2).await;
    proxy.reset();
    proxy.set(Mode::Pass);
    match tokio::time::timeout(SLACK, trying).await?? {
        Ok(grant) => {
            ensure!(grant.key() == entry[0] && grant.tenure().admits());
            grant.release().await?;
        }
        Err(error) => println!("{version:?}: {error}"),
    }
    queue_of(&operator, NAME, 0).await?;
    ensure!(first.tenure().admits(), "{:?}", first.tenure().end_reason());
    Ok(())
}

async fn a_bounded_wait_ends_contended_and_leaves_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (holder, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = holder.acquire(Acquire::new(NAME)).await?;
    let request = Acquire::new(NAME).wait(LockWait::AtMost(PATIENCE));
    match other.acquire(request.clone()).await {
        Err(AcquireError::Contended {
            holder,
            ahead,
            waited,
            ..
        }) => {
            ensure!(holder == grant.key() && ahead == 1, "{holder}, {ahead}");
            ensure!(waited >= PATIENCE, "only {waited:?}");
        }
        other => bail!("not contended: {other:?}"),
    }
    let queue = queue_of(&other, NAME, 1).await?;
    ensure!(queue == [grant.key()] && grant.tenure().admits());
    // A lock that comes free within the time is taken.
    let waiting = start(&other, request.wait(LockWait::AtMost(SLACK)));
    queue_of(&other, NAME, 2).await?;
    grant.release().await?;
    granted(waiting).await.map(drop)
}

async fn a_dropped_grant_frees_the_lock(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (holder, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = holder.acquire(Acquire::new(NAME)).await?;
    let tenure = grant.tenure().clone();
    let waiting = start(&other, Acquire::new(NAME));
    queue_of(&other, NAME, 2).await?;
    drop(grant);
    ensure!(!tenure.admits() && tenure.end_reason() == Some(EndReason::Released));
    let next = granted(waiting).await?;
    ensure!(queue_of(&other, NAME, 1).await? == [next.key()]);
    Ok(())
}

/// Promise P5. Fails on the mutant "the clean-up is dropped", see scripts/mutants.
async fn an_acquisition_dropped_in_the_queue_frees_its_place(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (holder, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = holder.acquire(Acquire::new(NAME)).await?;
    let second = start(&other, Acquire::new(NAME));
    let before = queue_of(&other, NAME, 2).await?;
    let third = start(&other, Acquire::new(NAME));
    queue_of(&other, NAME, 3).await?;
    second.abort();
    let after = queue_of(&other, NAME, 2).await?;
    ensure!(after[0] == grant.key() && !after.contains(&before[1]));
    grant.release().await?;
    let next = granted(third).await?;
    ensure!(next.key() == after[1]);
    Ok(())
}

async fn acquisitions_dropped_at_any_moment_leave_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (holder, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = holder.acquire(Acquire::new(NAME)).await?;
    // From before the lease is granted to well after the place is known.
    for step in 0..60 {
        let waiting = other.acquire(Acquire::new(NAME));
        let dropped = tokio::time::timeout(Duration::from_micros(step * 100), waiting).await;
        ensure!(dropped.is_err(), "it ended before it was dropped");
    }
    let queue = queue_of(&other, NAME, 1).await?;
    ensure!(queue == [grant.key()]);
    grant.release().await?;
    // The same on a free lock, where a drop can also hit the grant on its way.
    for step in 0..60 {
        let acquiring = other.acquire(Acquire::new(NAME));
        let _ = tokio::time::timeout(Duration::from_micros(step * 100), acquiring).await;
    }
    queue_of(&other, NAME, 0).await.map(drop)
}

async fn two_acquisitions_of_one_client_exclude_each_other(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let first = locks.acquire(Acquire::new(NAME)).await?;
    let waiting = start(&locks, Acquire::new(NAME));
    let queue = queue_of(&locks, NAME, 2).await?;
    tokio::time::sleep(PATIENCE).await;
    ensure!(!waiting.is_finished(), "the same lock was granted twice");
    // Another lock shares the first one's lease.
    let elsewhere = locks.acquire(Acquire::new("/library/elsewhere")).await?;
    ensure!(elsewhere.lease() == first.lease());
    let (lease, token) = (first.lease(), first.token());
    first.release().await?;
    let second = granted(waiting).await?;
    ensure!(second.lease() != lease && second.token() > token);
    ensure!(second.key() == queue[1]);
    Ok(())
}

/// Promise P1. Fails on the mutant "a release deletes by name", see scripts/mutants.
async fn a_stranger_under_our_own_key_is_waited_for(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let grant = locks.acquire(Acquire::new(NAME)).await?;
    let key = grant.key().to_owned();
    etcd.etcdctl(&["del", &key])?;
    etcd.etcdctl(&["put", &key, "stranger"])?;
    grant.release().await?;

    match locks.acquire(try_it()).await {
        Err(AcquireError::Contended { holder, ahead, .. }) => {
            ensure!(holder == key && ahead == 1, "{holder}, {ahead}");
        }
        other => bail!("not contended: {other:?}"),
    }
    let waiting = start(&locks, Acquire::new(NAME));
    let queue = queue_of(&locks, NAME, 2).await?;
    ensure!(queue[0] == key, "{queue:?}");
    ensure!(
        !waiting.is_finished(),
        "the stranger's key was taken for ours"
    );
    etcd.etcdctl(&["del", &key])?;
    let next = granted(waiting).await?;
    ensure!(next.key() == queue[1]);
    Ok(())
}
