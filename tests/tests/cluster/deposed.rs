//! Promise P1 under a deposed leader: it answers renewals from its own memory, and none of them may count.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::cluster::Cluster;
use leasehold_tests::etcd::Version;
use leasehold_tests::fake_etcd::{FakeEtcd, Fault, Method};
use leasehold_tests::on_etcd;

use crate::{BUSY, client, end_of, ends_unrenewed, longest, queue_of, renewed, request, start};

const NAME: &str = "/cluster/deposed";

/// TTL on the fake, where nothing but renewals takes time.
const TTL: Duration = Duration::from_secs(6);

/// TTL on real etcd: longer than an election and its promotion of leases.
const LONG_TTL: Duration = Duration::from_secs(15);

/// Time before the holder's deadline at which the deposed leader continues: enough for a renewal.
const BEFORE_DEADLINE: Duration = Duration::from_secs(3);

on_etcd!(async a_resumed_leader_cannot_keep_a_lock_beyond_its_lease);

/// The leader is cut off from the other members and stopped, another one is elected, and the old one continues
/// before it notices that. For a second or two it still answers renewals.
async fn a_resumed_leader_cannot_keep_a_lock_beyond_its_lease(version: Version) -> Result<()> {
    let mut cluster = Cluster::start(version, 3)?;
    let leader = cluster.leader()?;
    let others = cluster.others(leader);
    let holder = client(cluster.via(&[leader])).await?;
    let grant = holder.acquire(request(NAME, LONG_TTL)).await?;
    let tenure = grant.tenure();
    renewed(tenure).await?;
    let waiter = client(cluster.via(&others)).await?;
    let waiting = start(&waiter, request(NAME, LONG_TTL));
    queue_of(&waiter, NAME, 2).await?;

    cluster.isolate(leader)?;
    cluster.pause(leader)?;
    let latest = tenure.clock().now().after(longest(LONG_TTL));
    cluster.leader_among(&others)?;
    tokio::time::sleep(tenure.remaining().saturating_sub(BEFORE_DEADLINE)).await;
    ensure!(tenure.admits(), "the election took a TTL: {tenure:?}");
    cluster.resume(leader)?;

    let next = end_of(waiting, LONG_TTL * 2 + BUSY).await??;
    ensure!(!tenure.admits(), "two holders: {tenure:?} and {next:?}");
    let last = tenure.last_deadline();
    ensure!(
        last <= latest,
        "the deposed leader moved the deadline by {:?}",
        last.since(latest)
    );
    ensure!(next.tenure().admits() && next.token() > grant.token());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_in_an_older_term_moves_no_deadline() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    renewed(grant.tenure()).await?;
    fake.script(|script| {
        for method in Method::ALL {
            script.term(method, 1_000);
        }
        script.term(Method::Renew, 999);
    });
    ends_unrenewed(grant.tenure(), TTL).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_without_a_reading_after_it_moves_no_deadline() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    renewed(grant.tenure()).await?;
    // A leader without its followers: it renews, and confirms no reading.
    fake.script(|script| script.fail(&[Method::Range, Method::Txn], Fault::Silent));
    ends_unrenewed(grant.tenure(), TTL).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_that_rises_for_all_replies_keeps_the_lock() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    for term in [1_000, 1_001] {
        fake.script(|script| {
            for method in Method::ALL {
                script.term(method, term);
            }
        });
        renewed(grant.tenure()).await?;
        renewed(grant.tenure()).await?;
    }
    Ok(())
}
