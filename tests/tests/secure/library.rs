//! The library after its login was forgotten: every kind of request is asked again with a new one, and views go on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, LockWait, Locks, ViewFreshness};
use leasehold_tests::etcd::{Etcd, RUNNER, Version};
use leasehold_tests::on_etcd;
use tokio::time::timeout;

use crate::SLACK;

on_etcd!(
    async a_forgotten_login_fails_no_request,
    an_expired_login_fails_no_request,
);

const NAME: &str = "/leasehold/locks/library";

async fn every_request(version: Version, lifetime: Option<Duration>) -> Result<()> {
    let builder = Etcd::builder(version);
    let etcd = match lifetime {
        Some(lifetime) => builder.token_ttl(lifetime).start()?,
        None => builder.users().start()?,
    };
    let options = ConnectOptions::new(etcd.endpoints()).user(RUNNER.0, RUNNER.1);
    let locks = Locks::connect(options).await?;
    let grant = locks.acquire(Acquire::new(NAME)).await?;
    let mut view = locks.view("/leasehold/locks/");
    while *view.freshness() != ViewFreshness::Live {
        view.next().await.context("the view ended")?;
    }
    let (kv, fence) = (locks.kv(), grant.fence());
    for round in 0..3 {
        etcd.expire_tokens()?;
        if let Some(lifetime) = lifetime.filter(|_| round == 1) {
            tokio::time::sleep(lifetime + Duration::from_millis(500)).await;
        }
        match round {
            0 => drop(kv.put_fenced(&fence, "/leasehold/kv/a", b"1").await?),
            1 => ensure!(kv.get("/leasehold/kv/a").await?.is_some()),
            _ => ensure!(locks.lease_ttl(grant.lease()).await?.is_some()),
        }
        etcd.expire_tokens()?;
        // A lock of another TTL needs a lease of its own, and the view must receive it.
        let name = format!("{NAME}-{round}");
        let other = Acquire::new(name.as_str()).wait(LockWait::AtMost(SLACK));
        let other = locks
            .acquire(other.ttl(Duration::from_secs(20 + round)))
            .await?;
        let heard = async {
            while !view.queues().contains_key(&name) {
                view.next().await.context("the view ended")?;
            }
            anyhow::Ok(())
        };
        timeout(SLACK, heard).await.context("the view is deaf")??;
        etcd.expire_tokens()?;
        other.release().await?;
        ensure!(grant.verify().await?, "the first grant is gone");
    }
    grant.release().await?;
    locks.close().await;
    ensure!(etcd.queue(NAME)?.is_empty());
    Ok(())
}

const SHORT: Option<Duration> = Some(Duration::from_secs(2));

async fn a_forgotten_login_fails_no_request(version: Version) -> Result<()> {
    every_request(version, None).await
}

async fn an_expired_login_fails_no_request(version: Version) -> Result<()> {
    every_request(version, SHORT).await
}
