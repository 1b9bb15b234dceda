//! A peer that stops reading: windows fill up, and nothing of the client's may wait for it without a bound.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use tokio::task::JoinSet;

use crate::{SLACK, client, granted, queue_of, start};

const NAME: &str = "/library/unread";

/// The lease's time to live.
const TTL: Duration = Duration::from_secs(3);

/// Writes that wait at once, and the size of each: more than all windows between here and there hold.
const WRITES: usize = 32;
const VALUE: usize = 500_000;

on_every_store!(async a_store_that_stops_reading_ends_tenure_and_writes_in_time);

async fn a_store_that_stops_reading_ends_tenure_and_writes_in_time(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let locks = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
    let grant = locks.acquire(Acquire::new(NAME).ttl(TTL)).await?;
    let other = client(etcd.endpoints()).await?;
    let waiting = start(&other, Acquire::new(NAME).ttl(TTL));
    queue_of(&other, NAME, 2).await?;

    proxy.set(Mode::DropRequests);
    let began = Instant::now();
    let mut writes = JoinSet::new();
    for number in 0..WRITES {
        let (kv, fence) = (locks.kv().clone(), grant.fence());
        writes.spawn(async move {
            let key = format!("/library/unread-{number}");
            kv.put_fenced(&fence, &key, &vec![b'x'; VALUE]).await
        });
    }
    // The tenure ends by its deadline, whatever waits for the peer.
    let next = granted(waiting).await?;
    ensure!(
        !grant.tenure().admits() && next.token() > grant.token(),
        "the successor was granted while the holder admitted"
    );
    let all = async {
        while let Some(ended) = writes.join_next().await {
            ensure!(
                ended?.is_err(),
                "a write that was never read was acknowledged"
            );
        }
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(SLACK, all).await;
    ended.context("a write waits for a peer that does not read")??;
    println!(
        "{version:?}: all writes had failed after {:?}",
        began.elapsed()
    );

    // Requests under way arrive late, and are refused.
    proxy.set(Mode::Pass);
    next.release().await?;
    drop(grant);
    let again = tokio::time::timeout(SLACK, locks.acquire(Acquire::new(NAME).ttl(TTL))).await;
    let again = again.context("the client does not recover")??;
    let kept = other.kv().list("/library/unread-", 0).await?;
    ensure!(
        kept.is_empty(),
        "{} late writes were carried out",
        kept.len()
    );
    again.release().await?;
    Ok(())
}
