//! Readers and writers of one lock.

use anyhow::{Result, bail, ensure};
use leasehold_lock::{Acquire, AcquireError, EndReason, LockMode, LockWait};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;

use crate::{
    SLACK, all_wait, client, granted, holders_and_waiters, queue_of, refused, revoke, start,
};

const NAME: &str = "/modes/shared";

on_every_store!(
    async readers_hold_together_and_a_writer_waits_for_all_of_them,
    a_writer_under_a_stream_of_readers_is_served_in_its_turn,
    forty_readers_behind_a_writer_are_granted_together,
    a_waiting_reader_with_a_revoked_lease_is_never_granted,
    a_reader_ends_when_its_own_entry_is_removed,
    a_try_joins_readers_and_leaves_no_trace_beside_a_writer,
    two_holders_that_want_to_upgrade_are_refused,
    one_client_reads_under_one_lease_for_each_entry,
);

fn read() -> Acquire {
    Acquire::new(NAME).shared()
}

fn write() -> Acquire {
    Acquire::new(NAME)
}

async fn readers_hold_together_and_a_writer_waits_for_all_of_them(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let first = a.acquire(read()).await?;
    let second = b.acquire(read()).await?;
    ensure!(first.key().ends_with("-r") && first.entries()[0].mode() == LockMode::Shared);
    let writer = start(&a, write());
    queue_of(&a, NAME, 3).await?;
    // A reader that comes later does not overtake the writer.
    let late = start(&b, read());
    queue_of(&a, NAME, 4).await?;
    ensure!(holders_and_waiters(&a, NAME).await? == (2, 2));
    first.release().await?;
    all_wait(&[&writer, &late]).await?;
    ensure!(second.tenure().admits(), "the second reader lost the lock");
    second.release().await?;
    let writer = granted(writer).await?;
    all_wait(&[&late]).await?;
    ensure!(holders_and_waiters(&a, NAME).await? == (1, 1));
    let token = writer.token();
    writer.release().await?;
    ensure!(granted(late).await?.token() > token);
    Ok(())
}

/// Readers come and go without a pause, so there is never a moment without one.
async fn a_writer_under_a_stream_of_readers_is_served_in_its_turn(version: Version) -> Result<()> {
    const READERS: usize = 4;
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let mut held = Vec::new();
    for _ in 0..READERS {
        held.push(locks.acquire(read()).await?);
    }
    let writer = start(&locks, write());
    queue_of(&locks, NAME, READERS + 1).await?;
    let mut later = Vec::new();
    for grant in held {
        later.push(start(&locks, read()));
        queue_of(&locks, NAME, READERS + 1 + 1).await?;
        grant.release().await?;
        queue_of(&locks, NAME, READERS + 1).await?;
    }
    let writer = granted(writer).await?;
    all_wait(&later.iter().collect::<Vec<_>>()).await?;
    let token = writer.token();
    writer.release().await?;
    for reader in later {
        ensure!(granted(reader).await?.token() > token);
    }
    Ok(())
}

/// More than a newcomer follows one by one: each must be granted by the deletion of the writer, not of its neighbor.
async fn forty_readers_behind_a_writer_are_granted_together(version: Version) -> Result<()> {
    const READERS: usize = 40;
    let etcd = Etcd::start(version)?;
    let (locks, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let writer = locks.acquire(write()).await?;
    let readers: Vec<_> = (0..READERS)
        .map(|n| start(if n % 2 == 0 { &locks } else { &other }, read()))
        .collect();
    queue_of(&locks, NAME, READERS + 1).await?;
    let last = start(&other, write());
    queue_of(&locks, NAME, READERS + 2).await?;
    writer.release().await?;
    let mut held = Vec::new();
    for reader in readers {
        held.push(granted(reader).await?);
    }
    ensure!(held.iter().all(|grant| grant.tenure().admits()));
    all_wait(&[&last]).await?;
    // Into a crowd of readers, one more waits for the writer alone.
    let late = start(&locks, read());
    queue_of(&locks, NAME, READERS + 2).await?;
    for grant in held {
        grant.release().await?;
    }
    granted(last).await?.release().await?;
    granted(late).await?.release().await?;
    Ok(())
}

/// Go's read-write mutex returns success without a key here.
async fn a_waiting_reader_with_a_revoked_lease_is_never_granted(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let writer = a.acquire(write()).await?;
    let reader = start(&b, read());
    let queue = queue_of(&operator, NAME, 2).await?;
    let entry = operator.kv().get(&queue[1]).await?;
    revoke(
        &operator,
        entry.map_or_else(Default::default, |entry| entry.lease),
    )
    .await?;
    let error = refused(reader).await?;
    ensure!(
        matches!(
            error,
            AcquireError::Removed { .. } | AcquireError::SessionLost { .. }
        ),
        "{error:?}"
    );
    writer.release().await?;
    queue_of(&operator, NAME, 0).await.map(drop)
}

async fn a_reader_ends_when_its_own_entry_is_removed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let (first, second) = (a.acquire(read()).await?, b.acquire(read()).await?);
    ensure!(operator.kv().delete(second.key()).await?);
    let ended = tokio::time::timeout(SLACK, second.tenure().ended()).await?;
    ensure!(matches!(ended, EndReason::Removed { .. }), "{ended:?}");
    ensure!(first.tenure().admits() && first.verify().await?);
    ensure!(!second.verify().await?);
    Ok(())
}

async fn a_try_joins_readers_and_leaves_no_trace_beside_a_writer(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let try_it = || read().wait(LockWait::Never);
    let first = a.acquire(try_it()).await?;
    let second = b.acquire(try_it()).await?;
    ensure!(first.tenure().admits() && second.tenure().admits());
    let revision = etcd.revision()?;
    match b.acquire(write().wait(LockWait::Never)).await {
        Err(AcquireError::Contended { holder, ahead, .. }) => {
            ensure!(holder == first.key() && ahead == 2, "{holder}, {ahead}");
        }
        other => bail!("not contended: {other:?}"),
    }
    let writer = start(&b, write());
    queue_of(&a, NAME, 3).await?;
    let queued = etcd.revision()?;
    match a.acquire(try_it()).await {
        Err(AcquireError::Contended { holder, ahead, .. }) => {
            ensure!(holder == first.key() && ahead == 3, "{holder}, {ahead}");
        }
        other => bail!("not contended: {other:?}"),
    }
    // Not even for a moment: the writer's entry is the only change of the store.
    ensure!(queued == revision + 1 && etcd.revision()? == queued);
    drop((first, second));
    granted(writer).await.map(drop)
}

/// Two that upgrade would wait for each other for ever.
async fn two_holders_that_want_to_upgrade_are_refused(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let (first, second) = (a.acquire(read()).await?, b.acquire(read()).await?);
    let revision = etcd.revision()?;
    for (locks, grant) in [(&a, &first), (&b, &second)] {
        let error = refused(start(locks, write().beside(grant))).await?;
        let text = error.to_string();
        let refused = matches!(error, AcquireError::AlreadyHeld { .. });
        ensure!(refused && text.contains("never upgraded"), "{text}");
        // A second reading of the same requester could wait behind a writer that waits for the first.
        let error = refused_of(locks.acquire(read().beside(grant)).await)?;
        ensure!(matches!(error, AcquireError::AlreadyHeld { .. }), "{error}");
    }
    ensure!(etcd.revision()? == revision, "the store was changed");
    let other = Acquire::new("/modes/other").beside(&first);
    ensure!(a.acquire(other).await?.tenure().admits());
    Ok(())
}

fn refused_of<T>(result: Result<T, AcquireError>) -> Result<AcquireError> {
    match result {
        Ok(_) => bail!("it was granted"),
        Err(error) => Ok(error),
    }
}

async fn one_client_reads_under_one_lease_for_each_entry(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let (first, second) = (locks.acquire(read()).await?, locks.acquire(read()).await?);
    ensure!(first.lease() != second.lease() && first.token() < second.token());
    let elsewhere = locks
        .acquire(Acquire::new("/modes/elsewhere").shared())
        .await?;
    ensure!(elsewhere.lease() == first.lease());
    first.release().await?;
    ensure!(second.tenure().admits());
    Ok(())
}
