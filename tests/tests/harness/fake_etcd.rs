//! The fake etcd: a store that works until its script changes an answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, EndReason, LeaseId, LockWait, Locks};
use leasehold_tests::fake_etcd::{FakeEtcd, Fault, Method, Script};

use crate::{SHORT, SLACK};

const NAME: &str = "/harness/fake";

async fn client(fake: &FakeEtcd) -> Result<Locks> {
    Ok(Locks::connect(ConnectOptions::new([fake.endpoint()])).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_script_it_is_a_store() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let (first, second) = (client(&fake).await?, client(&fake).await?);
    let grant = first.acquire(Acquire::new(NAME)).await?;
    let never = second
        .acquire(Acquire::new(NAME).wait(LockWait::Never))
        .await;
    ensure!(never.is_err(), "granted twice");
    let waiting = tokio::spawn(async move { second.acquire(Acquire::new(NAME)).await });
    let token = grant.token();
    grant.release().await?;
    let next = tokio::time::timeout(SLACK, waiting)
        .await
        .context("no grant")???;
    ensure!(next.token() > token);
    // The watch delivers the operator's changes.
    ensure!(fake.operator().await?.kv().delete(next.key()).await?);
    let ended = tokio::time::timeout(SLACK, next.tenure().ended()).await?;
    ensure!(matches!(ended, EndReason::Removed { .. }), "{ended}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_holds_a_request_until_the_script_recovers() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client(&fake).await?;
    locks.kv().put("/harness/key", b"x", LeaseId::NONE).await?;
    fake.script(|script| script.fail(&[Method::Range], Fault::Silent));
    let kv = locks.kv();
    let mut asking = tokio::spawn(async move { kv.get("/harness/key").await });
    let early = tokio::time::timeout(SHORT, &mut asking).await;
    ensure!(early.is_err(), "answered: {early:?}");
    fake.script(Script::recover);
    let found = tokio::time::timeout(SLACK, asking)
        .await
        .context("no answer")???;
    ensure!(found.is_some_and(|found| found.value == b"x"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_but_silence_is_an_error_at_once() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client(&fake).await?;
    for fault in [Fault::Unavailable, Fault::Malformed, Fault::Oversized] {
        fake.script(|script| script.fail(&[Method::Range], fault));
        let found = locks.kv().get("/harness/key").await;
        ensure!(found.is_err(), "{fault:?} is answered {found:?}");
        fake.script(Script::recover);
        locks.kv().get("/harness/key").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_is_at_least_as_long_as_scripted() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let locks = client(&fake).await?;
    let delay = Duration::from_millis(200);
    fake.script(|script| script.delay(Method::Range, [delay]));
    let began = Instant::now();
    locks.kv().get("/harness/key").await?;
    ensure!(began.elapsed() >= delay, "after {:?}", began.elapsed());
    Ok(())
}
