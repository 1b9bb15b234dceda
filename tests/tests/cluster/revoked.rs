//! Renewals that a server answers although their lease was revoked, as etcd 3.4.23 and 3.5.1 may: a live lease is
//! never proof of ownership.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::binaries::Version;
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::fake_etcd::{FakeEtcd, Quirk};

use crate::{SLACK, client, end, end_of, one_verification, queue_of, request, start, watched};

const NAME: &str = "/cluster/revoked";
const TTL: Duration = Duration::from_secs(4);

/// Revokes the lease of a holder whose renewals are answered all the same, and gives the bound of its end.
async fn revoked(swallow: bool, within: Duration) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (locks, other) = (
        client([fake.endpoint()]).await?,
        client([fake.endpoint()]).await?,
    );
    let operator = fake.operator().await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    let waiting = start(&other, request(NAME, TTL));
    queue_of(&operator, NAME, 2).await?;
    watched(&fake).await?;
    fake.script(|script| {
        script.renewed_ttl = i64::try_from(TTL.as_secs()).ok();
        if swallow {
            script.quirk(Quirk::SwallowDeletions);
        }
    });
    let ctl = Etcdctl::new(Version::Embedded, &[fake.endpoint()])?;
    ctl.run(&["lease", "revoke", &grant.lease().to_string()])?;
    let reason = end(grant.tenure(), within).await?;
    println!("swallowed: {swallow}: {reason}");
    let next = end_of(waiting, one_verification(TTL)).await??;
    ensure!(next.token() > grant.token() && !grant.tenure().admits());

    // The dead lease is renewed on and on by its own account, and serves for nothing more.
    fake.script(|script| {
        script.recover();
        script.renewed_ttl = i64::try_from(TTL.as_secs()).ok();
    });
    drop(grant);
    let again = start(&locks, request(NAME, TTL));
    queue_of(&operator, NAME, 2).await?;
    next.release().await?;
    let again = end_of(again, SLACK).await??;
    ensure!(again.tenure().admits());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_revoked_lease_is_noticed_by_the_watch() -> Result<()> {
    // Less than a verification takes: only an event can be the cause.
    revoked(false, TTL / 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_revoked_lease_is_noticed_without_the_event() -> Result<()> {
    revoked(true, one_verification(TTL)).await
}
