//! Watch events that a server loses: their changes must be noticed nevertheless.
//!
//! Real etcd has lost deletions at compactions (its issues 18089 and 19179). The fake loses all of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_lock::{EndReason, LeaseId, Locks};
use leasehold_tests::fake_etcd::{FakeEtcd, Quirk};

use crate::{client, end, end_of, one_verification, queue_of, request, start, watched};

const NAME: &str = "/cluster/swallowed";
const TTL: Duration = Duration::from_secs(4);

/// Entries ahead of a waiter that follows its predecessor alone.
const MANY: usize = 40;

/// Puts entries of an administrator into the queue, without a lease.
async fn put_entries(operator: &Locks, count: usize) -> Result<()> {
    for at in 0..count {
        let key = format!("{NAME}/admin-{at:03}");
        operator.kv().put(&key, b"", LeaseId::NONE).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_whose_deletion_was_swallowed_ends() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (locks, operator) = (client([fake.endpoint()]).await?, fake.operator().await?);
    let grant = locks.acquire(request(NAME, TTL)).await?;
    watched(&fake).await?;
    fake.script(|script| script.quirk(Quirk::SwallowDeletions));
    ensure!(operator.kv().delete(grant.key()).await?);
    let reason = end(grant.tenure(), one_verification(TTL)).await?;
    // Its lease is alive and renewed: only the entry can show it.
    ensure!(
        matches!(reason, EndReason::Removed { .. } | EndReason::TokenStale),
        "ended otherwise: {reason}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_whose_turn_was_swallowed_is_granted() -> Result<()> {
    waits_behind(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_waiter_whose_turn_was_swallowed_is_granted() -> Result<()> {
    waits_behind(MANY).await
}

async fn waits_behind(count: usize) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (locks, operator) = (client([fake.endpoint()]).await?, fake.operator().await?);
    put_entries(&operator, count).await?;
    let waiting = start(&locks, request(NAME, TTL));
    queue_of(&operator, NAME, count + 1).await?;
    watched(&fake).await?;
    fake.script(|script| script.quirk(Quirk::SwallowDeletions));
    let admin = format!("{NAME}/admin-");
    operator
        .kv()
        .delete_range(&admin, &format!("{NAME}/admin."))
        .await?;
    let grant = end_of(waiting, one_verification(TTL)).await??;
    ensure!(grant.tenure().admits());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_whose_own_deletion_was_swallowed_ends() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (locks, operator) = (client([fake.endpoint()]).await?, fake.operator().await?);
    put_entries(&operator, 1).await?;
    let waiting = start(&locks, request(NAME, TTL));
    let queue = queue_of(&operator, NAME, 2).await?;
    watched(&fake).await?;
    fake.script(|script| script.quirk(Quirk::SwallowDeletions));
    ensure!(operator.kv().delete(&queue[1]).await?);
    let ended = end_of(waiting, one_verification(TTL)).await?;
    ensure!(ended.is_err(), "granted without an entry: {ended:?}");
    Ok(())
}

/// Locks that one client holds at once: enough that their queues are read together.
const LOCKS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_locks_those_whose_deletion_was_swallowed_end() -> Result<()> {
    tokio::try_join!(many_locks(0), many_locks(400)).map(drop)
}

/// `foreign` keys lie between the first queues and the others, more than one reading of all of them covers.
async fn many_locks(foreign: usize) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (locks, operator) = (client([fake.endpoint()]).await?, fake.operator().await?);
    for at in 0..foreign {
        let key = format!("{NAME}/lock-2/deeper/{at:03}");
        operator.kv().put(&key, b"", LeaseId::NONE).await?;
    }
    let mut grants = Vec::new();
    for at in 0..LOCKS {
        let name = format!("{NAME}/lock-{at}");
        grants.push(locks.acquire(request(&name, TTL)).await?);
    }
    watched(&fake).await?;
    fake.script(|script| script.quirk(Quirk::SwallowDeletions));
    let (gone, kept): (Vec<_>, Vec<_>) = (0..LOCKS).partition(|at| at % 3 == 1);
    for at in &gone {
        ensure!(operator.kv().delete(grants[*at].key()).await?);
    }
    for at in &gone {
        end(grants[*at].tenure(), one_verification(TTL)).await?;
    }
    for at in &kept {
        ensure!(grants[*at].tenure().admits(), "{:?}", grants[*at]);
    }
    Ok(())
}
