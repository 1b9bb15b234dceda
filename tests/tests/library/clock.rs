//! Clocks that run wrong: promises within the declared drift, and beyond it.
//!
//! The client's clock is another than the machine's, and its timers are the machine's: what a client admits must
//! depend on the clock alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{
    Acquire, BootTime, Clock, ConnectOptions, EndReason, FencedError, Locks, SystemClock,
};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::{SLACK, client, granted, queue_of, start};

const NAME: &str = "/library/clock";

/// The leases' time to live.
const TTL: Duration = Duration::from_secs(3);

on_every_store!(
    async a_clock_slow_within_the_drift_ends_the_tenure_in_time,
    a_clock_at_half_rate_admits_too_long_and_the_fence_holds,
    a_machine_suspended_past_the_deadline_admits_nothing,
);

/// The machine's clock at another rate, and with jumps.
#[derive(Debug)]
struct WrongClock {
    begun: BootTime,
    /// Thousandths of the right rate.
    rate: u64,
    /// Time that passed in jumps, in nanoseconds.
    jumped: AtomicU64,
}

impl WrongClock {
    fn at_rate(rate: u64) -> Arc<Self> {
        Arc::new(Self {
            begun: SystemClock.now(),
            rate,
            jumped: AtomicU64::new(0),
        })
    }

    /// As after a suspend of the machine: the boot-time clock counted it, nothing else went on.
    fn jump(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.jumped.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for WrongClock {
    fn now(&self) -> BootTime {
        let passed = SystemClock.now().since(self.begun).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX / 1_000);
        let jumped = self.jumped.load(Ordering::SeqCst);
        let shown = passed / 1_000 * self.rate + jumped;
        self.begun.after(Duration::from_nanos(shown))
    }
}

/// A holder with this clock behind a network of its own, and a waiter with the right clock.
struct Pair {
    proxy: FaultProxy,
    wrong: Locks,
    right: Locks,
}

impl Pair {
    async fn start(etcd: &Etcd, clock: Arc<WrongClock>, drift: f64) -> Result<Self> {
        let proxy = FaultProxy::start(&etcd.endpoint())?;
        let options = ConnectOptions::new([proxy.endpoint()]);
        Ok(Self {
            wrong: Locks::connect_with(options, clock, drift).await?,
            right: client(etcd.endpoints()).await?,
            proxy,
        })
    }
}

fn request() -> Acquire {
    Acquire::new(NAME)
        .ttl(TTL)
        .stop_margin(Duration::from_millis(250))
}

/// A tenth slower than it should be, and declared so. Cut off, the holder stops before the waiter is granted.
async fn a_clock_slow_within_the_drift_ends_the_tenure_in_time(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let pair = Pair::start(&etcd, WrongClock::at_rate(900), 0.1).await?;
    let grant = pair.wrong.acquire(request()).await?;
    let waiting = start(&pair.right, request());
    queue_of(&pair.right, NAME, 2).await?;
    pair.proxy.set(Mode::DropBoth);
    while grant.tenure().admits() && !waiting.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ensure!(
        !grant.tenure().admits(),
        "the waiter was granted while the holder with the slow clock admitted"
    );
    let next = granted(waiting).await?;
    ensure!(next.token() > grant.token());
    pair.proxy.set(Mode::Pass);
    drop(grant);
    next.release().await?;
    queue_of(&pair.right, NAME, 0).await?;
    Ok(())
}

/// The documented limit: beyond the declared drift, only fenced effects are safe.
async fn a_clock_at_half_rate_admits_too_long_and_the_fence_holds(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let pair = Pair::start(&etcd, WrongClock::at_rate(500), 0.01).await?;
    let grant = pair.wrong.acquire(request()).await?;
    let waiting = start(&pair.right, request());
    queue_of(&pair.right, NAME, 2).await?;
    pair.proxy.set(Mode::DropBoth);
    let next = granted(waiting).await?;
    ensure!(
        grant.tenure().admits(),
        "half the rate was noticed, so this shows nothing: {:?}",
        grant.tenure().end_reason()
    );
    // The network is back before the slow clock has come to its deadline.
    pair.proxy.set(Mode::Pass);
    let fence = grant.fence();
    match pair
        .wrong
        .kv()
        .put_fenced(&fence, "/library/kv", b"late")
        .await
    {
        Err(FencedError::Stale) => {}
        other => bail!("a write under the old token was not refused: {other:?}"),
    }
    ensure!(pair.right.kv().get("/library/kv").await?.is_none());
    let fence = next.fence();
    pair.right
        .kv()
        .put_fenced(&fence, "/library/kv", b"ours")
        .await?;
    // And the old holder notices: no tenure outlives the store's answer.
    let ended = tokio::time::timeout(SLACK, grant.tenure().ended()).await;
    ended.context("the old holder never learnt of its loss")?;
    ensure!(!grant.tenure().admits());
    next.release().await?;
    Ok(())
}

/// Cut off, it stops in half the time. Otherwise each renewal moves the deadline far enough: it keeps the lock.
///
/// On one store: nothing here is the store's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_at_twice_the_rate_only_costs_the_lock_early() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let clock = WrongClock::at_rate(2_000);
    let pair = Pair::start(&etcd, clock, 0.01).await?;
    let grant = pair.wrong.acquire(request()).await?;
    let waiting = start(&pair.right, request());
    queue_of(&pair.right, NAME, 2).await?;
    let began = SystemClock.now();
    while SystemClock.now().since(began) < TTL.mul_f64(1.5) {
        ensure!(
            grant.tenure().admits()
                || grant.tenure().end_reason() == Some(EndReason::DeadlinePassed),
            "lost otherwise: {:?}",
            grant.tenure().end_reason()
        );
        ensure!(
            !(grant.tenure().admits() && waiting.is_finished()),
            "two holders"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pair.proxy.set(Mode::DropBoth);
    let cut = SystemClock.now();
    let ended = tokio::time::timeout(SLACK, grant.tenure().ended()).await;
    ended.context("it never ended")?;
    let took = SystemClock.now().since(cut);
    println!("cut off, it stopped after {took:?} of the machine's time");
    ensure!(!grant.tenure().admits());
    let next = granted(waiting).await?;
    ensure!(next.token() > grant.token());
    pair.proxy.set(Mode::Pass);
    next.release().await?;
    Ok(())
}

async fn a_machine_suspended_past_the_deadline_admits_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let clock = WrongClock::at_rate(1_000);
    let pair = Pair::start(&etcd, clock.clone(), 0.01).await?;
    let grant = pair.wrong.acquire(request()).await?;
    ensure!(grant.tenure().admits());
    clock.jump(TTL / 4);
    ensure!(
        grant.tenure().admits(),
        "a suspend of a quarter of the TTL ended it"
    );
    // No timer has fired and no message has come: the clock alone decides, at once.
    clock.jump(TTL);
    ensure!(!grant.tenure().admits());
    let ended = tokio::time::timeout(SLACK, grant.tenure().ended()).await;
    ensure!(ended.context("it never ended")? == EndReason::DeadlinePassed);
    drop(grant);
    // Awake, it takes the lock again, under another token.
    let again = tokio::time::timeout(SLACK, pair.wrong.acquire(request())).await??;
    ensure!(again.tenure().admits());
    again.release().await?;
    queue_of(&pair.right, NAME, 0).await.map(drop)
}
