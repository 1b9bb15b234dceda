//! Renewals that are answered late, and servers that do not answer requests for progress.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::cluster::GrpcProxy;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::fake_etcd::{FakeEtcd, Method};
use leasehold_tests::on_etcd;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::eventually_async;

use crate::{BUSY, SLACK, client, end, is_kept, request};

const NAME: &str = "/cluster/late";
const TTL: Duration = Duration::from_secs(10);

/// Seconds to live of the two locks behind the proxy.
const BEHIND_PROXY: [u64; 2] = [6, 18];

/// Longer than each of them: a lock whose renewals do not count is lost once a TTL.
const BEHIND_PROXY_FOR: Duration = Duration::from_secs(26);

/// Longer than a watch stream may be silent before it was once given up: four seconds.
const SILENT_FOR: Duration = Duration::from_secs(12);

on_etcd!(async a_lock_behind_etcds_own_proxy_is_kept);

async fn a_lock_behind_etcds_own_proxy_is_kept(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = GrpcProxy::start(&etcd)?;
    let locks = client([proxy.endpoint()]).await?;
    let grants = BEHIND_PROXY.map(|ttl| {
        let request = request(&format!("{NAME}/{ttl}"), Duration::from_secs(ttl));
        let locks = locks.clone();
        async move { locks.acquire(request).await }
    });
    let [short, long] = grants;
    let (short, long) = (short.await?, long.await?);
    let (short_kept, long_kept) = tokio::join!(
        is_kept(short.tenure(), BEHIND_PROXY_FOR),
        is_kept(long.tenure(), BEHIND_PROXY_FOR)
    );
    short_kept?;
    long_kept?;
    // The watch works behind the proxy too.
    etcd.etcdctl(&["del", long.key()])?;
    end(long.tenure(), SLACK).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_answered_up_to_five_seconds_late_keep_a_lock() -> Result<()> {
    late_renewals(&[1, 5, 3, 4, 2], TTL.mul_f64(2.5)).await
}

/// Late by almost a TTL: renewals must be sent more often than every third of it, or a reply comes after the
/// deadline that the one before it earned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_answered_up_to_eight_seconds_late_keep_a_lock() -> Result<()> {
    late_renewals(&[1, 3, 5, 7, 8, 6, 4, 2], TTL * 4).await
}

async fn late_renewals(seconds: &[u64], kept_for: Duration) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    let delays: Vec<Duration> = seconds.iter().copied().map(Duration::from_secs).collect();
    fake.script(|script| script.delay(Method::Renew, delays));
    is_kept(grant.tenure(), kept_for).await?;
    // As few streams as renewals that are matched to their replies need: none is given up for its lateness.
    let streams = fake.streams(Method::Renew);
    ensure!(streams <= 2, "{streams} streams of renewals were opened");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_with_late_replies_keeps_a_lock() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let locks = client([proxy.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    let [least, most] = [1_000, 2_500].map(Duration::from_millis);
    proxy.set(Mode::LateResponses(least, most));
    is_kept(grant.tenure(), TTL * 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_no_progress_keeps_its_watches() -> Result<()> {
    let fake = FakeEtcd::start()?;
    fake.script(|script| script.ignore_progress = true);
    let (locks, operator) = (client([fake.endpoint()]).await?, fake.operator().await?);
    let grant = locks.acquire(request(NAME, TTL)).await?;
    let opened = eventually_async(SLACK, "a watch", || async {
        let watches = fake.requests(Method::Watch);
        ensure!(watches > 0, "none was created");
        Ok(fake.streams(Method::Watch))
    })
    .await?;
    is_kept(grant.tenure(), SILENT_FOR).await?;
    let streams = fake.streams(Method::Watch);
    ensure!(
        streams == opened,
        "{streams} streams of watches were opened, {opened} were needed"
    );
    ensure!(operator.kv().delete(grant.key()).await?);
    end(grant.tenure(), BUSY).await.map(drop)
}
