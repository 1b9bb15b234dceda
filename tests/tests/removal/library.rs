//! The library alone: a removed grant ends, and none of its fenced operations changes anything.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{Acquire, ConnectOptions, EndReason, FencedError, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;

use crate::{ONE_DELIVERY, change, lease_of};

on_every_store!(
    async a_deleted_entry_is_known_within_one_delivery,
    every_fenced_operation_of_a_removed_grant_is_refused,
    a_removed_grants_fence_is_stale_under_the_clients_next_grant,
);

const NAME: &str = "/library/removal";

fn stale<T: std::fmt::Debug>(result: Result<T, FencedError>) -> Result<()> {
    match result {
        Err(FencedError::Stale) => Ok(()),
        other => bail!("not refused as stale: {other:?}"),
    }
}

/// Removes a grant by `remove` and checks every fenced operation.
async fn refused_after(
    version: Version,
    remove: impl Fn(&Etcd, &str) -> Result<u64>,
) -> Result<EndReason> {
    let etcd = Etcd::start(version)?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let grant = locks.acquire(Acquire::new(NAME)).await?;
    let (kv, fence) = (locks.kv(), grant.fence());
    let written = kv.put_fenced(&fence, "/data", b"held").await?;

    remove(&etcd, grant.key())?;
    let reason = tokio::time::timeout(ONE_DELIVERY, grant.tenure().ended())
        .await
        .context("the tenure goes on")?;
    ensure!(!grant.tenure().admits());
    stale(kv.put_fenced(&fence, "/data", b"late").await)?;
    stale(kv.put_fenced(&fence, "/other", b"late").await)?;
    stale(kv.delete_fenced(&fence, "/data").await)?;
    stale(
        kv.compare_and_put_fenced(&fence, "/data", written, b"late")
            .await,
    )?;
    stale(kv.compare_and_delete_fenced(&fence, "/data", written).await)?;
    ensure!(!grant.verify().await?);
    let data = kv.get("/data").await?.context("it was deleted")?;
    ensure!(
        data.value == b"held" && data.mod_revision == written,
        "{data:?}"
    );
    ensure!(kv.get("/other").await?.is_none());

    // An entry that another client put in its place stays when the loser releases.
    let strangers = etcd.queue(NAME)?;
    grant.release().await?;
    ensure!(etcd.queue(NAME)? == strangers);
    locks.close().await;
    Ok(reason)
}

/// Promise P4. Fails on the mutant "a fence lets every write pass", see scripts/mutants.
async fn every_fenced_operation_of_a_removed_grant_is_refused(version: Version) -> Result<()> {
    let revoked = |etcd: &Etcd, key: &str| change(etcd, &["lease", "revoke", lease_of(key)?]);
    let deleted = |etcd: &Etcd, key: &str| change(etcd, &["del", key]);
    let replaced = |etcd: &Etcd, key: &str| {
        change(etcd, &["del", key])?;
        change(etcd, &["put", key, "stranger"])
    };
    let reason = refused_after(version, revoked).await?;
    ensure!(
        matches!(reason, EndReason::Removed { .. } | EndReason::LeaseEnded),
        "{reason:?}"
    );
    let reason = refused_after(version, deleted).await?;
    ensure!(matches!(reason, EndReason::Removed { .. }), "{reason:?}");
    let reason = refused_after(version, replaced).await?;
    ensure!(
        matches!(
            reason,
            EndReason::Removed { .. } | EndReason::Replaced { .. }
        ),
        "{reason:?}"
    );
    Ok(())
}

/// A second grant of the same client under the same key is another entry, with another fence.
async fn a_removed_grants_fence_is_stale_under_the_clients_next_grant(
    version: Version,
) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let first = locks.acquire(Acquire::new(NAME)).await?;
    let (key, old) = (first.key().to_owned(), first.fence());
    change(&etcd, &["del", &key])?;
    tokio::time::timeout(ONE_DELIVERY, first.tenure().ended()).await?;
    // Once this is confirmed the key is free for the next grant; a drop would only begin it.
    first.release().await?;
    let patience = Duration::from_secs(20);
    let second = tokio::time::timeout(patience, locks.acquire(Acquire::new(NAME))).await??;
    ensure!(second.key() == key, "the test needs the same key again");
    stale(locks.kv().put_fenced(&old, "/data", b"late").await)?;
    locks
        .kv()
        .put_fenced(&second.fence(), "/data", b"fine")
        .await?;
    ensure!(second.tenure().admits());
    locks.close().await;
    Ok(())
}

/// From before the deletion is asked for to the end of the tenure: printed, and bounded by one delivery each time.
async fn a_deleted_entry_is_known_within_one_delivery(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let operator = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let mut gaps = Vec::new();
    for _ in 0..50 {
        let grant = locks.acquire(Acquire::new(NAME)).await?;
        let asked = locks.clock().now();
        ensure!(operator.kv().delete(grant.key()).await?);
        tokio::time::timeout(ONE_DELIVERY, grant.tenure().ended())
            .await
            .context("the tenure goes on")?;
        let ended = grant.tenure().ended_at().context("no moment")?;
        gaps.push(ended.since(asked));
        grant.release().await?;
    }
    gaps.sort();
    let (middle, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!("{version:?}: known after {middle:?} (median), {longest:?} (longest of 50)");
    ensure!(longest <= ONE_DELIVERY);
    Ok(())
}
