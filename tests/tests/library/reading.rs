//! Reads that nobody waits for any more: at worst they were in vain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold_lock::Acquire;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;

use crate::client;

const PREFIX: &str = "/library/reading/";

/// Enough that reading them takes the store a while.
const KEYS: usize = 500;

on_every_store!(
    async readers_that_go_away_in_the_middle_do_the_store_no_harm,
);

/// etcd 3.5.1 dies of a transaction that only reads when whoever sent it goes away.
async fn readers_that_go_away_in_the_middle_do_the_store_no_harm(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = client(&etcd).await?;
    for n in 0..KEYS {
        let key = format!("{PREFIX}{n:03}");
        locks.kv().put(&key, b"value", 0).await?;
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
