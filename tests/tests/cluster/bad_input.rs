//! Answers that no store should give: each ends in a typed error or a lost lock, and at a bounded rate.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{AcquireError, EndReason, LockWait, Locks};
use leasehold_tests::fake_etcd::{FakeEtcd, Fault, Method, Quirk, Script};
use leasehold_tests::wait::eventually_async;
use tokio::time::{Instant, timeout};

use crate::{
    BUSY, SLACK, client, end, ends_unrenewed, is_kept, one_verification, renewed, request,
};

const NAME: &str = "/cluster/bad";
const TTL: Duration = Duration::from_secs(4);

/// Patience of an acquisition that must give up.
const PATIENCE: Duration = Duration::from_secs(3);

/// Requests that a client may make in a second while nothing it asks for is answered well: retries of
/// renewals, watches, readings and an acquisition, each with a backoff of its own.
const PER_SECOND: u64 = 40;

/// Sessions that one acquisition may open within its patience.
const FEW_GRANTS: u64 = 12;

/// Acquires with a bounded wait, within a bound: the result is an error of this crate's types.
async fn gives_up(locks: &Locks, name: &str) -> Result<AcquireError> {
    let request = request(name, TTL).wait(LockWait::AtMost(PATIENCE));
    let ended = timeout(PATIENCE + SLACK, locks.acquire(request)).await;
    match ended.context("an acquisition does not end after its patience")? {
        Ok(grant) => bail!("granted without the store: {grant:?}"),
        Err(error) => Ok(error),
    }
}

/// Requires that requests since `before` were made at a bounded rate.
fn is_bounded(fake: &FakeEtcd, before: u64, since: Instant) -> Result<()> {
    let (made, took) = (fake.load() - before, since.elapsed());
    let most = PER_SECOND * (took.as_secs() + 1);
    ensure!(made <= most, "{made} requests in {took:?}");
    Ok(())
}

/// A holder and a new client on a store that answers everything wrongly, and their results.
async fn nothing_is_answered(fault: Fault) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    renewed(grant.tenure()).await?;
    let (before, since) = (fake.load(), Instant::now());
    fake.script(|script| script.fail(&Method::ALL, fault));
    let (ended, refused) = tokio::join!(
        ends_unrenewed(grant.tenure(), TTL),
        gives_up(&locks, "/cluster/bad/other"),
    );
    ended?;
    let refused = refused?;
    ensure!(
        matches!(
            refused,
            AcquireError::Store { .. } | AcquireError::SessionLost { .. }
        ),
        "{refused}"
    );
    ensure!(
        !grant.verify().await.unwrap_or(false),
        "confirmed without the store"
    );
    is_bounded(&fake, before, since)?;
    // Well again, as soon as the store is.
    fake.script(Script::recover);
    eventually_async(SLACK, "a lock after the store recovered", || async {
        let again = locks.acquire(request("/cluster/bad/again", TTL)).await?;
        ensure!(again.tenure().admits());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_unavailable_ends_the_lock_at_a_bounded_rate() -> Result<()> {
    nothing_is_answered(Fault::Unavailable).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_the_lock_at_a_bounded_rate() -> Result<()> {
    nothing_is_answered(Fault::Silent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_replies_end_the_lock_at_a_bounded_rate() -> Result<()> {
    nothing_is_answered(Fault::Malformed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_replies_end_the_lock_at_a_bounded_rate() -> Result<()> {
    nothing_is_answered(Fault::Oversized).await
}

/// Readings replace a watch that is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_watches_keep_the_lock_and_retry_at_a_bounded_rate() -> Result<()> {
    let fail = |fault| move |script: &mut Script| script.fail(&[Method::Watch], fault);
    tokio::try_join!(
        watches_fail(fail(Fault::Unavailable)),
        watches_fail(fail(Fault::Malformed)),
        watches_fail(|script| script.quirk(Quirk::RefuseWatches)),
    )
    .map(drop)
}

async fn watches_fail(how: impl FnOnce(&mut Script)) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (locks, operator) = (client([fake.endpoint()]).await?, fake.operator().await?);
    fake.script(how);
    let grant = locks.acquire(request(NAME, TTL)).await?;
    let (before, since) = (fake.load(), Instant::now());
    is_kept(grant.tenure(), TTL * 2).await?;
    is_bounded(&fake, before, since)?;
    ensure!(operator.kv().delete(grant.key()).await?);
    end(grant.tenure(), one_verification(TTL)).await?;
    Ok(())
}

/// As while a leader is elected: a reading that fails now and then takes nothing from a lock whose renewals are
/// proven and whose watch delivers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_that_fail_now_and_then_cost_no_lock() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    is_kept(grant.tenure(), TTL * 2).await?;
    for _ in 0..6 {
        fake.script(|script| script.fail(&[Method::Range], Fault::Unavailable));
        is_kept(grant.tenure(), TTL / 4).await?;
        fake.script(Script::recover);
        is_kept(grant.tenure(), TTL / 4).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_without_time_to_live_ends_the_lock() -> Result<()> {
    for ttl in [0, -5, i64::MIN] {
        let fake = FakeEtcd::start()?;
        let locks = client([fake.endpoint()]).await?;
        let grant = locks.acquire(request(NAME, TTL)).await?;
        fake.script(|script| script.renewed_ttl = Some(ttl));
        let reason = end(grant.tenure(), TTL + BUSY).await?;
        ensure!(reason == EndReason::LeaseEnded, "with TTL {ttl}: {reason}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_without_time_to_live_makes_no_session() -> Result<()> {
    for ttl in [0, -5, i64::MIN] {
        let fake = FakeEtcd::start()?;
        let locks = client([fake.endpoint()]).await?;
        fake.script(|script| script.granted_ttl = Some(ttl));
        let error = gives_up(&locks, NAME).await?;
        ensure!(
            matches!(
                error,
                AcquireError::Store { .. } | AcquireError::SessionLost { .. }
            ),
            "{error}"
        );
        let grants = fake.requests(Method::Grant);
        ensure!(grants <= FEW_GRANTS, "{grants} leases with TTL {ttl}");
    }
    Ok(())
}

/// No lease is believed for longer than was asked for: a store that falls silent after a huge TTL must not
/// leave a guest running for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_time_to_live_counts_no_longer_than_asked() -> Result<()> {
    tokio::try_join!(is_believed(i64::MAX), is_believed(1 << 40)).map(drop)
}

async fn is_believed(ttl: i64) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    fake.script(|script| {
        script.granted_ttl = Some(ttl);
        script.renewed_ttl = Some(ttl);
    });
    let grant = locks.acquire(request(NAME, TTL)).await?;
    is_kept(grant.tenure(), TTL).await?;
    fake.script(|script| script.fail(&Method::ALL, Fault::Silent));
    ends_unrenewed(grant.tenure(), TTL).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_of_another_lease_moves_no_deadline() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    renewed(grant.tenure()).await?;
    let (before, since) = (fake.load(), Instant::now());
    fake.script(|script| script.renewed_lease = Some(77));
    ends_unrenewed(grant.tenure(), TTL).await?;
    is_bounded(&fake, before, since)
}

/// Surplus replies must not be kept for renewals that are sent later. A client may as well give the lock up for
/// them: no reply shows which renewal it belongs to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surplus_replies_answer_no_later_renewal() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    let grant = locks.acquire(request(NAME, TTL)).await?;
    let (before, since) = (fake.load(), Instant::now());
    fake.script(|script| script.surplus_renewals = 1);
    let _ = timeout(TTL * 2, grant.tenure().ended()).await;
    is_bounded(&fake, before, since)?;
    fake.script(|script| script.fail(&[Method::Renew], Fault::Silent));
    ends_unrenewed(grant.tenure(), TTL).await.map(drop)
}

/// A transaction that fails without a reason: no entry of ours, and none of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_put_costs_few_leases() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client([fake.endpoint()]).await?;
    fake.script(|script| script.quirk(Quirk::RefuseTransactions));
    let (before, since) = (fake.load(), Instant::now());
    gives_up(&locks, NAME).await?;
    is_bounded(&fake, before, since)?;
    let grants = fake.requests(Method::Grant);
    ensure!(grants <= FEW_GRANTS, "{grants} leases for one acquisition");
    Ok(())
}
