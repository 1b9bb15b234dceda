//! Several locks as one grant: all or none, one token, one end.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use leasehold_lock::{
    Acquire, AcquireError, ConnectOptions, EndReason, FencedError, Grant, LeaseId, LockEntry,
    LockMode, LockSetError, LockWait, Locks, Revision,
};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::{SLACK, all_wait, client, granted, queue_of, refused, start};

const A: &str = "/modes/sets/a";
const B: &str = "/modes/sets/b";
const C: &str = "/modes/sets/c";

on_every_store!(
    async a_set_has_one_token_and_waits_for_each_of_its_locks,
    a_set_ends_when_any_of_its_entries_is_removed,
    a_waiting_set_fails_when_any_of_its_entries_is_removed,
    a_try_for_a_set_takes_all_or_leaves_no_trace,
    an_answer_that_is_lost_leaves_all_entries_or_none,
    a_cancelled_sets_entries_are_all_deleted_once_connected,
    fences_of_a_set_compare_every_entry,
    a_set_with_a_name_twice_or_inside_another_is_refused,
    two_sets_of_one_client_exclude_each_other,
    a_foreign_key_under_one_of_our_own_is_waited_for,
    thirty_two_locks_are_taken_at_once,
);

fn all_of(names: &[&str]) -> Acquire {
    Acquire::all(names.iter().map(|name| (*name, LockMode::Exclusive)))
}

async fn create_revision(locks: &Locks, key: &str) -> Result<Revision> {
    let entry = locks.kv().get(key).await?;
    Ok(entry.map_or(Revision::NONE, |entry| entry.create_revision))
}

async fn a_set_has_one_token_and_waits_for_each_of_its_locks(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let (first, reader) = (
        a.acquire(Acquire::new(A)).await?,
        a.acquire(Acquire::new(C).shared()).await?,
    );
    let request = Acquire::all([
        (B, LockMode::Exclusive),
        (A, LockMode::Exclusive),
        (C, LockMode::Shared),
    ]);
    let set = start(&b, request);
    for (name, count) in [(A, 2), (B, 1), (C, 2)] {
        queue_of(&a, name, count).await?;
    }
    let behind = start(&a, Acquire::new(B));
    queue_of(&a, B, 2).await?;
    all_wait(&[&set, &behind]).await?;
    first.release().await?;
    let set = granted(set).await?;
    for entry in set.entries() {
        let created = create_revision(&a, entry.key()).await?;
        ensure!(set.token() == created.into(), "{}: {created}", entry.key());
    }
    let names: Vec<&str> = set.entries().iter().map(LockEntry::name).collect();
    ensure!(names == [B, A, C] && set.name() == B && set.tenure().admits());
    all_wait(&[&behind]).await?;
    let before = etcd.revision()?;
    set.release().await?;
    let _behind = granted(behind).await?;
    // One revision for the release of all three, as one for their creation.
    ensure!(etcd.revision()? == before + 1, "{before}");
    queue_of(&a, A, 0).await?;
    ensure!(queue_of(&a, C, 1).await? == [reader.key()]);
    Ok(())
}

/// Promise P1. Fails on the mutant "the second lock of a set is not watched", see scripts/mutants.
async fn a_set_ends_when_any_of_its_entries_is_removed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    for removed in 0..3 {
        let set = locks.acquire(all_of(&[A, B, C])).await?;
        let keys: Vec<String> = set.entries().iter().map(|e| e.key().to_owned()).collect();
        ensure!(operator.kv().delete(&keys[removed]).await?);
        let ended = tokio::time::timeout(SLACK / 3, set.tenure().ended()).await;
        let ended = ended.map_err(|_| anyhow::anyhow!("the tenure goes on without {removed}"))?;
        ensure!(matches!(ended, EndReason::Removed { .. }), "{ended:?}");
        ensure!(!set.verify().await?);
        // What is left of it goes with the release.
        set.release().await?;
        for name in [A, B, C] {
            queue_of(&operator, name, 0).await?;
        }
    }
    Ok(())
}

async fn a_waiting_set_fails_when_any_of_its_entries_is_removed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let held = operator.acquire(Acquire::new(B)).await?;
    for name in [A, B, C] {
        let set = start(&locks, all_of(&[A, B, C]));
        let queue = queue_of(&operator, name, if name == B { 2 } else { 1 }).await?;
        let own = queue.last().map(String::as_str).unwrap_or_default();
        ensure!(operator.kv().delete(own).await?);
        match refused(set).await? {
            AcquireError::Removed { name: removed, .. } => ensure!(removed == name, "{removed}"),
            error => bail!("another error: {error}"),
        }
        for (name, count) in [(A, 0), (B, 1), (C, 0)] {
            queue_of(&operator, name, count).await?;
        }
    }
    held.release().await?;
    Ok(())
}

async fn a_try_for_a_set_takes_all_or_leaves_no_trace(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let modes = [(A, LockMode::Exclusive), (B, LockMode::Shared)];
    let try_it = || Acquire::all(modes).wait(LockWait::Never);
    let reader = a.acquire(Acquire::new(B).shared()).await?;
    let set = b.acquire(try_it()).await?;
    let revision = etcd.revision()?;
    match a.acquire(try_it()).await {
        Err(AcquireError::Contended { name, holder, .. }) => {
            ensure!(name == A && holder == set.key(), "{name}, {holder}");
        }
        other => bail!("not contended: {other:?}"),
    }
    ensure!(etcd.revision()? == revision, "the store was changed");
    set.release().await?;
    a.acquire(try_it()).await?.release().await?;
    reader.release().await?;
    // A free set takes the short way from now on.
    for _ in 0..3 {
        a.acquire(try_it()).await?.release().await?;
    }
    Ok(())
}

/// The store takes the entries and the client gets no reply: all are found again, or all are removed.
async fn an_answer_that_is_lost_leaves_all_entries_or_none(version: Version) -> Result<()> {
    for wait in [LockWait::Forever, LockWait::Never] {
        lose_the_answer(version, wait).await?;
    }
    Ok(())
}

async fn lose_the_answer(version: Version, wait: LockWait) -> Result<()> {
    const PATIENCE: Duration = Duration::from_millis(300);
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let options = ConnectOptions::new([proxy.endpoint()]).request_timeout(PATIENCE);
    let (locks, operator) = (
        Locks::connect(options).await?,
        client(etcd.endpoints()).await?,
    );
    // The session is there already, so the next request with the locks' names is that of the entries.
    let first = locks.acquire(Acquire::new("/modes/first")).await?;
    proxy.cut_after_request_with(A);
    let taking = start(&locks, all_of(&[A, B]).wait(wait));
    let made = queue_of(&operator, A, 1).await?;
    queue_of(&operator, B, 1).await?;
    proxy.wait_fired(SLACK)?;
    tokio::time::sleep(PATIENCE * 2).await;
    proxy.reset();
    proxy.set(Mode::Pass);
    match tokio::time::timeout(SLACK, taking).await?? {
        Ok(grant) => {
            ensure!(grant.key() == made[0] && grant.tenure().admits());
            grant.release().await?;
        }
        Err(error) if wait == LockWait::Never => println!("{version:?}: {error}"),
        Err(error) => bail!("not found again: {error}"),
    }
    queue_of(&operator, A, 0).await?;
    queue_of(&operator, B, 0).await?;
    ensure!(first.tenure().admits(), "{:?}", first.tenure().end_reason());
    Ok(())
}

async fn a_cancelled_sets_entries_are_all_deleted_once_connected(version: Version) -> Result<()> {
    const TTL: Duration = Duration::from_mins(2);
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let locks = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
    let operator = client(etcd.endpoints()).await?;
    locks
        .acquire(all_of(&[A, B]).ttl(TTL))
        .await?
        .release()
        .await?;
    proxy.cut_after_request_with(&format!("{A}/"));
    let taking = start(&locks, all_of(&[A, B]).ttl(TTL));
    proxy.wait_fired(SLACK)?;
    queue_of(&operator, B, 1).await?;
    // First of all the answer goes, which would pass once the mode has changed.
    proxy.reset();
    proxy.set(Mode::Refuse);
    proxy.reset();
    taking.abort();
    ensure!(taking.await.is_err(), "the answer arrived");
    // One of the two is gone already when the search begins.
    let first = queue_of(&operator, A, 1).await?;
    ensure!(operator.kv().delete(&first[0]).await?);
    proxy.set(Mode::Pass);
    queue_of(&operator, A, 0).await?;
    queue_of(&operator, B, 0).await?;
    locks.close().await;
    Ok(())
}

async fn fences_of_a_set_compare_every_entry(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let kv = locks.kv();
    let set = locks.acquire(all_of(&[A, B])).await?;
    kv.put_fenced(&set.fence(), "/data/x", b"1").await?;
    let conflict = kv
        .compare_and_put_fenced(&set.fence(), "/data/x", Revision::NONE, b"2")
        .await;
    ensure!(
        matches!(conflict, Err(FencedError::Conflict)),
        "{conflict:?}"
    );
    ensure!(
        set.put_and_release("/data/done", Revision::NONE, b"1")
            .await?
    );
    set.release().await?;
    for name in [A, B] {
        queue_of(&operator, name, 0).await?;
    }
    for removed in 0..2 {
        let set = locks.acquire(all_of(&[A, B])).await?;
        let key = set.entries()[removed].key().to_owned();
        ensure!(operator.kv().delete(&key).await?);
        refuses_writes(&locks, &set).await?;
        // Another entry under the same key is another entry.
        operator.kv().put(&key, b"", LeaseId::NONE).await?;
        refuses_writes(&locks, &set).await?;
        ensure!(operator.kv().delete(&key).await?);
        set.release().await?;
    }
    Ok(())
}

async fn refuses_writes(locks: &Locks, set: &Grant) -> Result<()> {
    let (kv, fence) = (locks.kv(), set.fence());
    let put = kv.put_fenced(&fence, "/data/x", b"late").await;
    ensure!(matches!(put, Err(FencedError::Stale)), "{put:?}");
    let put = kv
        .compare_and_put_fenced(&fence, "/data/y", Revision::NONE, b"late")
        .await;
    ensure!(matches!(put, Err(FencedError::Stale)), "{put:?}");
    let delete = kv.delete_fenced(&fence, "/data/x").await;
    ensure!(matches!(delete, Err(FencedError::Stale)), "{delete:?}");
    ensure!(!kv.entry_exists(&fence).await?);
    ensure!(
        !set.put_and_release("/data/z", Revision::NONE, b"late")
            .await?
    );
    Ok(())
}

async fn a_set_with_a_name_twice_or_inside_another_is_refused(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let revision = etcd.revision()?;
    let inside = format!("{A}/b");
    let many: Vec<String> = (0..33).map(|n| format!("/modes/many/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (names, expected) in [
        (&[A, B, A][..], "twice"),
        (&[inside.as_str(), A], "lie in one another"),
        (&[], "without any"),
        (&many, "the most is 32"),
    ] {
        match refused(start(&locks, all_of(names))).await? {
            AcquireError::BadSet(error) => {
                let text = error.to_string();
                ensure!(text.contains(expected), "{text}");
                ensure!(names.len() != 3 || error == LockSetError::Twice { name: A.into() });
            }
            error => bail!("another error: {error}"),
        }
    }
    ensure!(etcd.revision()? == revision, "the store was changed");
    Ok(())
}

async fn two_sets_of_one_client_exclude_each_other(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let first = locks.acquire(all_of(&[A, B])).await?;
    let second = start(&locks, all_of(&[C, B]));
    queue_of(&locks, B, 2).await?;
    all_wait(&[&second]).await?;
    let lease = first.lease();
    first.release().await?;
    let second = granted(second).await?;
    ensure!(second.lease() != lease);
    Ok(())
}

async fn a_foreign_key_under_one_of_our_own_is_waited_for(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let set = locks.acquire(all_of(&[A, B])).await?;
    let key = set.entries()[1].key().to_owned();
    set.release().await?;
    locks.kv().put(&key, b"stranger", LeaseId::NONE).await?;
    let waiting = start(&locks, all_of(&[A, B]));
    let queue = queue_of(&locks, B, 2).await?;
    ensure!(queue[0] == key, "{queue:?}");
    all_wait(&[&waiting]).await?;
    ensure!(locks.kv().delete(&key).await?);
    let set = granted(waiting).await?;
    ensure!(set.entries()[1].key() == queue[1]);
    Ok(())
}

async fn thirty_two_locks_are_taken_at_once(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (a, b) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let names: Vec<String> = (0..32).map(|n| format!("/modes/many/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let one = b.acquire(Acquire::new(names[31])).await?;
    let set = start(&a, all_of(&names));
    queue_of(&b, names[31], 2).await?;
    all_wait(&[&set]).await?;
    one.release().await?;
    let set = granted(set).await?;
    ensure!(set.entries().len() == 32);
    ensure!(
        a.kv()
            .put_fenced(&set.fence(), "/data/x", b"1")
            .await
            .is_ok()
    );
    set.release().await?;
    queue_of(&b, names[0], 0).await.map(drop)
}
