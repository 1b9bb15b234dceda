//! Stores that go back to an earlier state: their holders and waiters must notice.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use leasehold_lock::{AcquireError, EndReason, LeaseId, Revision, Token};
use leasehold_tests::cluster::Cluster;
use leasehold_tests::etcd::Version;
use leasehold_tests::fake_etcd::{FakeEtcd, Method};
use leasehold_tests::on_every_store;

use crate::{client, end, end_of, is_kept, one_verification, queue_of, renewed, request, start};

/// TTL that outlives a restart of the store on a busy machine.
const TTL: Duration = Duration::from_secs(8);

/// Writes between the copy and the restore: more than what follows the restore adds.
const WRITES: usize = 30;

/// Lock that is held and waited for in the copy already.
const BEFORE: &str = "/cluster/restored/before";
/// Lock that is acquired after the copy was made.
const AFTER: &str = "/cluster/restored/after";

on_every_store!(
    async a_restored_store_ends_every_tenure,
    a_waiter_on_a_restored_store_ends_with_an_error,
);

fn is_store_changed(reason: &EndReason) -> bool {
    matches!(reason, EndReason::StoreChanged { .. })
}

/// Promise P1, as far as it can be kept: until a holder asks the store again, it cannot know.
async fn a_restored_store_ends_every_tenure(version: Version) -> Result<()> {
    let mut cluster = Cluster::start(version, 1)?;
    let store = cluster.direct(0)?;
    let holder = client([&store]).await?;
    let before = holder.acquire(request(BEFORE, TTL)).await?;
    cluster.stop(0)?;
    let copy = cluster.copy_data(0)?;
    cluster.restart(0)?;
    let after = holder.acquire(request(AFTER, TTL)).await?;
    let mut seen = Revision::NONE;
    for _ in 0..WRITES {
        seen = holder
            .kv()
            .put("/cluster/restored/x", b"x", LeaseId::NONE)
            .await?;
    }
    renewed(after.tenure()).await?;

    cluster.go_back_to(&copy)?;
    let newcomer = client([&store]).await?;
    let theirs = newcomer.acquire(request(AFTER, TTL)).await?;
    for grant in [&after, &before] {
        let reason = end(grant.tenure(), one_verification(TTL)).await?;
        ensure!(
            is_store_changed(&reason),
            "{} ended otherwise: {reason}",
            grant.name()
        );
    }
    ensure!(theirs.tenure().admits(), "{:?}", theirs.tenure());
    // A token that repeats would let a late effect of the first holder pass.
    let seen = Token::from(seen);
    match holder.acquire(request(BEFORE, TTL)).await {
        Ok(grant) => ensure!(grant.token() > seen, "{} after {seen}", grant.token()),
        Err(AcquireError::StoreWentBack { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

async fn a_waiter_on_a_restored_store_ends_with_an_error(version: Version) -> Result<()> {
    let mut cluster = Cluster::start(version, 1)?;
    let store = cluster.direct(0)?;
    let (holder, waiter) = (client([&store]).await?, client([&store]).await?);
    let grant = holder.acquire(request(BEFORE, TTL)).await?;
    let waiting = start(&waiter, request(BEFORE, TTL));
    // Both entries are in the copy, so both are there again afterwards.
    queue_of(&waiter, BEFORE, 2).await?;
    cluster.stop(0)?;
    let copy = cluster.copy_data(0)?;
    cluster.restart(0)?;
    for _ in 0..WRITES {
        waiter
            .kv()
            .put("/cluster/restored/x", b"x", LeaseId::NONE)
            .await?;
    }
    // A read, whose header the waiter's client remembers.
    waiter.kv().get("/cluster/restored/x").await?;

    cluster.go_back_to(&copy)?;
    match end_of(waiting, one_verification(TTL)).await? {
        Err(
            AcquireError::StoreWentBack { .. }
            | AcquireError::SessionLost { .. }
            | AcquireError::Removed { .. },
        ) => {}
        Err(other) => return Err(other.into()),
        Ok(theirs) => bail!("granted on a store that went back: {theirs:?}"),
    }
    drop(grant);
    Ok(())
}

/// Promise P1. Fails on the mutant "an older reading is ignored", see scripts/mutants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_below_an_earlier_one_ends_every_tenure() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let first = locks.acquire(request("/cluster/restored/a", TTL)).await?;
    // Another TTL is another session.
    let second = request("/cluster/restored/b", TTL + Duration::from_secs(1));
    let second = locks.acquire(second).await?;
    for _ in 0..WRITES {
        locks
            .kv()
            .put("/cluster/restored/x", b"x", LeaseId::NONE)
            .await?;
    }
    locks.kv().get("/cluster/restored/x").await?;
    fake.script(|script| script.shift_revision(Method::Range, -20));
    for grant in [&first, &second] {
        let reason = end(grant.tenure(), one_verification(TTL)).await?;
        ensure!(is_store_changed(&reason), "ended otherwise: {reason}");
    }
    Ok(())
}

/// A reply may be overtaken by a younger one: it is judged by the revision known when it was requested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_that_are_overtaken_end_nothing() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(AFTER, TTL)).await?;
    fake.script(|script| script.delay(Method::Range, [Duration::from_secs(1)]));
    let writes = async {
        loop {
            locks
                .kv()
                .put("/cluster/restored/x", b"x", LeaseId::NONE)
                .await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        failed = writes => failed,
        kept = is_kept(grant.tenure(), TTL.mul_f64(1.5)) => kept,
    }
}
