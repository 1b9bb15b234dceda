//! An isolated member must not confirm an entry that the others have deleted.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use leasehold_lock::{AcquireError, ConnectOptions, LockWait, Locks};
use leasehold_tests::cluster::Cluster;
use leasehold_tests::etcd::Version;
use leasehold_tests::on_etcd;
use leasehold_tests::wait::eventually_async;
use tokio::time::Instant;

use crate::{SLACK, client, end, is_kept, renewed, request};

const NAME: &str = "/cluster/isolated";

/// TTL that outlives the isolation.
const TTL: Duration = Duration::from_secs(30);

/// Time to go on asking: an isolated follower notices the loss of its leader after one to two seconds.
const ASK_FOR: Duration = Duration::from_secs(4);

/// TTL of a lock that must survive the isolation of a leader: longer than an election and a move.
const SHORT_TTL: Duration = Duration::from_secs(8);

on_etcd!(
    async an_isolated_follower_confirms_no_deleted_entry,
    a_holder_on_an_isolated_leader_moves_to_another_member,
);

async fn an_isolated_follower_confirms_no_deleted_entry(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, 3)?;
    let leader = cluster.leader()?;
    let followers = cluster.others(leader);
    let (follower, connected) = (followers[0], [leader, followers[1]]);
    // Short, so that many questions fit the time in which a wrong answer can come.
    let options = ConnectOptions::new(cluster.via(&[follower]));
    let options = options.request_timeout(Duration::from_millis(500));
    let locks = Locks::connect(options).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    ensure!(grant.verify().await?, "a grant that is not confirmed");

    let operator = cluster.ctl(&connected)?;
    cluster.isolate(follower)?;
    let deleted = operator.run(&["del", grant.key()])?;
    ensure!(deleted == "1", "etcdctl deleted {deleted:?} keys");
    let began = Instant::now();
    while began.elapsed() < ASK_FOR {
        // No answer is as good as a no here.
        if grant.verify().await.unwrap_or(false) {
            bail!(
                "the entry was confirmed {:?} after its deletion was acknowledged",
                began.elapsed()
            );
        }
    }
    cluster.heal();
    end(grant.tenure(), SLACK).await.map(drop)
}

/// The leader accepts connections and can confirm nothing. A client that knows the other members needs them.
async fn a_holder_on_an_isolated_leader_moves_to_another_member(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, 3)?;
    let leader = cluster.leader()?;
    let others = cluster.others(leader);
    let endpoints = cluster.via(&[leader, others[0], others[1]]);
    let locks = client(endpoints).await?;
    let grant = locks.acquire(request(NAME, SHORT_TTL)).await?;
    renewed(grant.tenure()).await?;
    cluster.isolate(leader)?;
    is_kept(grant.tenure(), SHORT_TTL + SHORT_TTL / 2).await?;
    // On the other members too the lock is held.
    let (rival, never) = (
        client(cluster.via(&others)).await?,
        request(NAME, SHORT_TTL),
    );
    let refused = rival.acquire(never.wait(LockWait::Never)).await;
    ensure!(
        matches!(refused, Err(AcquireError::Contended { .. })),
        "{refused:?}"
    );
    // The first request may still reach the leader, which refuses it: then the next goes to another member.
    eventually_async(SLACK, "a confirmation", || async {
        ensure!(grant.verify().await?, "the holder lost its entry");
        Ok(())
    })
    .await
}
