//! A fenced delete that compares: it succeeds at the expected revision alone, and returns the compare that failed.

use anyhow::{Result, bail, ensure};
use leasehold_lock::{Acquire, ConnectOptions, FencedError, Locks, Revision};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;

on_every_store!(async a_fenced_delete_happens_at_the_expected_revision_alone);

async fn a_fenced_delete_happens_at_the_expected_revision_alone(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let grant = locks.acquire(Acquire::new("/library/compared")).await?;
    let (kv, fence) = (locks.kv(), grant.fence());
    let conflict = |result: Result<(), FencedError>| match result {
        Err(FencedError::Conflict) => Ok(()),
        other => bail!("not a conflict: {other:?}"),
    };

    let old = kv.put_fenced(&fence, "/data", b"1").await?;
    let new = kv.put_fenced(&fence, "/data", b"2").await?;
    conflict(kv.compare_and_delete_fenced(&fence, "/data", old).await)?;
    conflict(
        kv.compare_and_delete_fenced(&fence, "/data", Revision::NONE)
            .await,
    )?;
    ensure!(kv.get("/data").await?.is_some());
    kv.compare_and_delete_fenced(&fence, "/data", new).await?;
    ensure!(kv.get("/data").await?.is_none());
    // A key that does not exist is at revision 0, and stays absent.
    conflict(kv.compare_and_delete_fenced(&fence, "/data", new).await)?;
    kv.compare_and_delete_fenced(&fence, "/data", Revision::NONE)
        .await?;

    let revision = kv.put_fenced(&fence, "/data", b"3").await?;
    let fence = grant.fence();
    grant.release().await?;
    let late = kv
        .compare_and_delete_fenced(&fence, "/data", revision)
        .await;
    ensure!(matches!(late, Err(FencedError::Stale)), "{late:?}");
    ensure!(kv.get("/data").await?.is_some());
    locks.close().await;
    Ok(())
}
