//! Readings: larger than a message, overtaken by compactions, or given up in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leasehold_lock::{Acquire, FeedItem, LeaseId, StoreError};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::{on_etcd, on_every_store};

use crate::client;

const PREFIX: &str = "/library/reading/";

/// Enough that reading them takes the store a while.
const KEYS: usize = 500;

on_every_store!(
    async readers_that_end_while_reading_do_not_crash_the_store,
    more_than_a_message_is_read_page_by_page,
    a_reading_that_compactions_overtake_has_every_key_once,
);

on_etcd!(async a_value_larger_than_a_message_hides_itself_alone);

/// More than a message of 4 MiB holds, in values that are modest each.
const LARGE: usize = 300;

async fn more_than_a_message_is_read_page_by_page(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    let kv = locks.kv();
    let mut names = Vec::new();
    for n in 0..LARGE {
        let key = format!("{PREFIX}{n:03}");
        // Small ones first, so that pages grow before they have to shrink.
        let size = if n < LARGE / 2 { 10 } else { 50_000 };
        kv.put(&key, &vec![b'x'; size], LeaseId::NONE).await?;
        names.push(key);
    }
    let listed = kv.list(PREFIX, 0).await?;
    let listed: Vec<&String> = listed.iter().map(|kv| &kv.key).collect();
    ensure!(listed.into_iter().eq(&names), "list");
    ensure!(kv.list(PREFIX, 7).await?.len() == 7);
    ensure!(kv.keys(PREFIX).await? == names, "keys");
    let scan = kv
        .scan(PREFIX, || 0, |sum, kv| *sum += kv.value.len())
        .await?;
    ensure!(scan.found == LARGE / 2 * 50_010, "{}", scan.found);
    let read = locks.feed([PREFIX]).next().await;
    let Some(FeedItem::Reading { keys, .. }) = read else {
        anyhow::bail!("the feed began with {read:?}");
    };
    ensure!(keys.iter().map(|kv| &kv.key).eq(&names), "feed");
    Ok(())
}

async fn a_value_larger_than_a_message_hides_itself_alone(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version)
        .arg("--max-request-bytes=9000000")
        .start()?;
    let locks = client(etcd.endpoints()).await?;
    let kv = locks.kv();
    let mut names = Vec::new();
    for n in 0..100 {
        let key = format!("{PREFIX}{n:03}");
        let size = if n == 50 { 5 << 20 } else { 100 };
        kv.put(&key, &vec![b'x'; size], LeaseId::NONE).await?;
        names.push(key);
    }
    let scan = kv.scan(PREFIX, Vec::new, Vec::push).await?;
    ensure!(
        scan.unreadable == [names[50].clone()],
        "{:?}",
        scan.unreadable
    );
    let lengths: Vec<usize> = scan.found.iter().map(|kv| kv.value.len()).collect();
    ensure!(lengths.len() == 100 && lengths[50] == 0 && lengths[51] == 100);
    ensure!(scan.found[50].mod_revision > scan.found[49].mod_revision);
    let read = locks.feed([PREFIX]).next().await;
    let Some(FeedItem::Reading { keys, .. }) = read else {
        anyhow::bail!("the feed began with {read:?}");
    };
    ensure!(keys.iter().map(|kv| &kv.key).eq(&names), "feed");
    // Where a value is wanted, its absence is an error, and no refusal by the store.
    for error in [
        kv.get(&names[50]).await.err(),
        kv.list(PREFIX, 0).await.err(),
    ] {
        let error = error.context("it was read")?;
        ensure!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
        println!("{error}");
    }
    ensure!(
        kv.get(&names[51]).await?.is_some(),
        "the connection is of use"
    );
    Ok(())
}

async fn a_reading_that_compactions_overtake_has_every_key_once(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, other) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let mut names = Vec::new();
    for n in 0..LARGE {
        let key = format!("{PREFIX}{n:03}");
        locks
            .kv()
            .put(&key, &vec![b'x'; 20_000], LeaseId::NONE)
            .await?;
        names.push(key);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let read_often = async {
        for _ in 0..3 {
            let read = locks.kv().list(PREFIX, 0).await?;
            ensure!(read.iter().map(|kv| &kv.key).eq(&names));
        }
        anyhow::Ok(())
    };
    let readings = async {
        let read = read_often.await;
        stop.cancel();
        read
    };
    let compactions = async {
        let mut count = 0;
        while !stop.is_cancelled() {
            other.kv().put("/elsewhere", b"", LeaseId::NONE).await?;
            tokio::task::block_in_place(|| etcd.compact())?;
            count += 1;
        }
        anyhow::Ok(count)
    };
    let (read, compacted) = tokio::join!(readings, compactions);
    println!("{} compactions", compacted?);
    read
}

/// etcd 3.5.1 crashes at a transaction that only reads if its sender disconnects.
async fn readers_that_end_while_reading_do_not_crash_the_store(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(etcd.endpoints()).await?;
    for n in 0..KEYS {
        let key = format!("{PREFIX}{n:03}");
        locks.kv().put(&key, b"value", LeaseId::NONE).await?;
    }
    let grant = Arc::new(locks.acquire(Acquire::new("/library/reader")).await?);
    for step in 0..300 {
        let (kv, grant) = (locks.kv(), grant.clone());
        let reading = tokio::spawn(async move { kv.list(PREFIX, 0).await });
        let asking = tokio::spawn(async move { grant.verify().await });
        // A timer would be too coarse to end in the middle of a reading.
        let until = Instant::now() + Duration::from_micros(step * 10);
        while Instant::now() < until {
            tokio::task::yield_now().await;
        }
        reading.abort();
        asking.abort();
    }
    ensure!(grant.verify().await?);
    let keys = locks.kv().keys(PREFIX).await?;
    ensure!(keys.len() == KEYS, "{} keys", keys.len());
    Ok(())
}
