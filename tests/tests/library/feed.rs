//! Feeds and operator actions, on which a dashboard is built.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, AuditNote, EndReason, FeedItem, KeyFeed, LeaseId, Revision};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;

use crate::{SLACK, client, granted, queue_of, start};

on_every_store!(
    async a_feed_reads_at_one_revision_and_then_every_change,
    a_feed_leaves_out_excluded_keys,
    an_entry_is_removed_only_if_it_is_the_one_that_was_meant,
    a_revoked_lease_ends_its_holder_and_leaves_word,
    the_store_reports_its_health,
);

async fn next(feed: &mut KeyFeed) -> Result<FeedItem> {
    let next = tokio::time::timeout(SLACK, feed.next()).await;
    next.context("the feed told nothing")?
        .context("the feed ended")
}

/// More keys than fit a page of a reading.
const MANY: usize = 450;

async fn a_feed_reads_at_one_revision_and_then_every_change(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let kv = locks.kv();
    for n in 0..MANY {
        kv.put(&format!("/a/{n:04}"), b"", LeaseId::NONE).await?;
    }
    kv.put("/b/x", b"", LeaseId::NONE).await?;
    kv.put("/c/unseen", b"", LeaseId::NONE).await?;
    let mut feed = locks.feed(["/a/", "/b/"]);
    let FeedItem::Reading { revision, keys } = next(&mut feed).await? else {
        anyhow::bail!("it did not begin with a reading");
    };
    ensure!(keys.len() == MANY + 1, "{}", keys.len());
    ensure!(keys.iter().all(|key| key.mod_revision <= revision));
    let mut expected = Vec::new();
    for n in 0..20 {
        let key = format!("{}/{n}", if n % 2 == 0 { "/a" } else { "/b" });
        expected.push((kv.put(&key, b"now", LeaseId::NONE).await?, key));
    }
    ensure!(kv.delete("/b/x").await?);
    let (mut told, mut gone) = (Vec::new(), 0);
    while told.len() < expected.len() || gone == 0 {
        let FeedItem::Changes { changes, .. } = next(&mut feed).await? else {
            anyhow::bail!("it was interrupted");
        };
        for change in changes {
            ensure!(change.revision > revision);
            match change.now {
                Some(now) => told.push((now.mod_revision, change.key)),
                None => gone += 1,
            }
        }
    }
    // In order for each prefix, not between them.
    told.sort();
    ensure!(told == expected && gone == 1, "{told:?}");
    Ok(())
}

async fn a_feed_leaves_out_excluded_keys(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let kv = locks.kv();
    for key in ["/r/jobs/a", "/r/kv/secret", "/r/locks/b", "/r/kw"] {
        kv.put(key, b"", LeaseId::NONE).await?;
    }
    let mut feed = locks.feed(["/r/"]).except("/r/kv/");
    let FeedItem::Reading { keys, .. } = next(&mut feed).await? else {
        anyhow::bail!("it did not begin with a reading");
    };
    let keys: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
    ensure!(keys == ["/r/jobs/a", "/r/kw", "/r/locks/b"], "{keys:?}");
    kv.put("/r/kv/secret", b"again", LeaseId::NONE).await?;
    kv.put("/r/locks/b", b"again", LeaseId::NONE).await?;
    let FeedItem::Changes { changes, .. } = next(&mut feed).await? else {
        anyhow::bail!("it was interrupted");
    };
    ensure!(
        changes.len() == 1 && changes[0].key == "/r/locks/b",
        "{changes:?}"
    );
    Ok(())
}

fn trace(key: &str) -> AuditNote {
    AuditNote {
        key: key.into(),
        value: b"somebody did it".to_vec(),
        keep: Duration::from_mins(10),
    }
}

async fn an_entry_is_removed_only_if_it_is_the_one_that_was_meant(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = locks.acquire(Acquire::new("/l/x")).await?;
    let token = i64::try_from(grant.token().get())?;
    let (created, earlier) = (Revision::new(token), Revision::new(token - 1));
    let done = operator
        .remove_entry(grant.key(), earlier, &trace("/deeds/1"))
        .await?;
    ensure!(!done && grant.tenure().admits(), "another entry's deed");
    ensure!(
        operator.kv().get("/deeds/1").await?.is_none(),
        "word of what was not done"
    );
    ensure!(
        operator
            .remove_entry(grant.key(), created, &trace("/deeds/2"))
            .await?
    );
    let ended = tokio::time::timeout(SLACK, grant.tenure().ended()).await?;
    ensure!(matches!(ended, EndReason::Removed { .. }), "{ended:?}");
    let word = operator
        .kv()
        .get("/deeds/2")
        .await?
        .context("no word of it")?;
    ensure!(!word.lease.is_none(), "word that stays for ever");
    ensure!(created < word.create_revision);
    Ok(())
}

async fn a_revoked_lease_ends_its_holder_and_leaves_word(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let grant = locks.acquire(Acquire::new("/l/x")).await?;
    let waiting = start(&client(etcd.endpoints()).await?, Acquire::new("/l/x"));
    queue_of(&operator, "/l/x", 2).await?;
    ensure!(
        operator
            .revoke_lease(grant.lease(), &trace("/deeds/1"))
            .await?
    );
    tokio::time::timeout(SLACK, grant.tenure().ended()).await?;
    drop(granted(waiting).await?);
    ensure!(
        operator.kv().get("/deeds/1").await?.is_some(),
        "no word of it"
    );
    let again = operator
        .revoke_lease(grant.lease(), &trace("/deeds/2"))
        .await?;
    ensure!(!again, "a lease that is no more was revoked");
    Ok(())
}

async fn the_store_reports_its_health(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let put = locks.kv().put("/x", b"", LeaseId::NONE).await?;
    let health = locks.health().await?;
    ensure!(health.members == 1 && health.revision >= put, "{health:?}");
    ensure!(
        !health.version.is_empty() && health.data_bytes > 0,
        "{health:?}"
    );
    Ok(())
}
