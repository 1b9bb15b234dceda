//! Cost of keeping locks: requests and processor time while one client holds, or waits for, one lock or a
//! thousand. Each renewal needs the leader's proof, and queues are read once per TTL.
//!
//! `scripts/bench` runs this on a release build. Nothing here asserts.

use std::time::{Duration, Instant};

use anyhow::Result;
use leasehold_lock::{Acquire, ConnectOptions, Grant, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::process::cpu_seconds;
use tokio::task::JoinSet;

/// TTL of the locks that are measured: the default.
const TTL: Duration = Duration::from_secs(10);
/// TTL of those who are waited for, so long that nothing of them falls into the measurement.
const LONG: Duration = Duration::from_mins(50);
const SETTLING: Duration = Duration::from_secs(12);
const MEASURED: Duration = Duration::from_secs(40);
const METHODS: [&str; 5] = ["LeaseKeepAlive", "Range", "Txn", "Watch", "LeaseTimeToLive"];

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for version in [Version::V3_5, Version::V3_4] {
        println!("\nkeeping locks with a TTL of {TTL:?} on {version:?}");
        let etcd = Etcd::start(version)?;
        for count in [1, 1000] {
            runtime.block_on(held(&etcd, count))?;
            runtime.block_on(waited_for(&etcd, count))?;
        }
    }
    Ok(())
}

async fn client(etcd: &Etcd) -> Result<Locks> {
    Ok(Locks::connect(ConnectOptions::new(etcd.endpoints())).await?)
}

async fn acquire(locks: &Locks, kind: &str, count: usize, ttl: Duration) -> Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for n in 0..count {
        let request = Acquire::new(format!("/bench/{kind}/{n:04}")).ttl(ttl);
        grants.push(locks.acquire(request).await?);
    }
    Ok(grants)
}

async fn held(etcd: &Etcd, count: usize) -> Result<()> {
    let locks = client(etcd).await?;
    let grants = acquire(&locks, "held", count, TTL).await?;
    measure(etcd, &format!("{count} held")).await?;
    drop(grants);
    locks.close().await;
    Ok(())
}

async fn waited_for(etcd: &Etcd, count: usize) -> Result<()> {
    let (holder, locks) = (client(etcd).await?, client(etcd).await?);
    let grants = acquire(&holder, "waited", count, LONG).await?;
    let mut waiting = JoinSet::new();
    for n in 0..count {
        let locks = locks.clone();
        let request = Acquire::new(format!("/bench/waited/{n:04}")).ttl(TTL);
        waiting.spawn(async move { locks.acquire(request).await });
    }
    measure(etcd, &format!("{count} waited for")).await?;
    waiting.shutdown().await;
    drop(grants);
    locks.close().await;
    holder.close().await;
    Ok(())
}

async fn measure(etcd: &Etcd, what: &str) -> Result<()> {
    tokio::time::sleep(SETTLING).await;
    let received = || -> Result<Vec<f64>> {
        let each = METHODS.iter().map(|method| {
            let label = format!("grpc_method=\"{method}\"");
            etcd.metric("grpc_server_msg_received_total", &label)
        });
        each.collect()
    };
    let pid = std::process::id();
    let (before, cpu, from) = (received()?, cpu_seconds(pid)?, Instant::now());
    tokio::time::sleep(MEASURED).await;
    let took = from.elapsed().as_secs_f64();
    let (after, cpu) = (received()?, cpu_seconds(pid)? - cpu);
    let (mut rates, mut all) = (Vec::new(), 0.0);
    for ((method, before), after) in METHODS.iter().zip(before).zip(after) {
        let rate = (after - before) / took;
        all += rate;
        rates.push(format!("{method} {rate:.2}/s"));
    }
    println!(
        "  {what:16} CPU {:.2} %, {}, all {all:.2} requests/s",
        cpu / took * 100.0,
        rates.join(", ")
    );
    Ok(())
}
