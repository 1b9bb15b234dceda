//! More of everything than usual: many watches, a watch that nobody reads, many keys.
//!
//! Nothing here asserts speed. That it ends at all, within bounds that only something quadratic would miss, is
//! what is shown.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{ConnectOptions, Locks};
use leasehold_store::{Listen, Options, Store};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::Etcdctl;

use crate::differential::op::{Epoch, Watch};
use crate::differential::wire::Wire;

/// Revisions as the store counts them.
const PLAIN: Epoch = Epoch { base: 1 };

async fn start() -> Result<(Store, String, Locks)> {
    let store = Store::open(Options::memory()).await?;
    let endpoint = store.listen(Listen::Tcp("127.0.0.1:0".parse()?)).await?;
    let locks = Locks::connect(ConnectOptions::new([endpoint.clone()])).await?;
    Ok((store, endpoint, locks))
}

fn watch(key: String, end: &str) -> Watch {
    Watch {
        key: key.into_bytes(),
        range_end: end.into(),
        ..Watch::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_watches_those_concerned_are_told_and_no_others() -> Result<()> {
    const STREAMS: usize = 20;
    const EACH: usize = 500;
    let (store, endpoint, locks) = start().await?;
    let wire = Wire::connect(&endpoint).await?;
    let mut streams: Vec<_> = (0..STREAMS).map(|_| wire.watches()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        for key in 0..EACH {
            let request = watch(format!("many/{}", number * EACH + key), "");
            stream.send(request.request(PLAIN)).await?;
        }
        let created = stream.wait(|heard| heard.len() == EACH).await;
        ensure!(created, "not all watches came to be: {:?}", stream.end());
    }
    // One key of each stream, and one that nobody watches.
    for number in 0..STREAMS {
        let key = format!("many/{}", number * EACH + number);
        locks.kv().put(&key, b"x", 0).await?;
        locks.kv().put("many/none", b"x", 0).await?;
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let told = stream.wait(|heard| heard.len() > EACH).await;
        ensure!(told, "stream {number} was told nothing");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (number, stream) in streams.iter().enumerate() {
        let told = stream.heard(|heard| {
            let events = heard[EACH..].iter().map(|response| response.events.len());
            (heard.len() - EACH, events.sum::<usize>())
        });
        ensure!(told == (1, 1), "stream {number} was told {told:?}");
    }
    drop(streams);
    locks.close().await;
    store.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_nobody_reads_holds_nobody_up_and_misses_nothing() -> Result<()> {
    const PUTS: i64 = 300;
    let (store, endpoint, locks) = start().await?;
    // On connections of their own: what is not read blocks its own connection.
    let slow = Wire::connect(&endpoint).await?;
    let mut slow = slow
        .unread_watch(watch("slow/".to_owned(), "slow0").request(PLAIN))
        .await?;
    let mut quick = Wire::connect(&endpoint).await?.watches();
    quick
        .send(watch("slow/".to_owned(), "slow0").request(PLAIN))
        .await?;
    ensure!(quick.wait(|heard| !heard.is_empty()).await, "no watch");
    let value = vec![b'x'; 100_000];
    let mut last = 0;
    for _ in 0..PUTS {
        last = locks.kv().put("slow/key", &value, 0).await?;
    }
    let all = usize::try_from(PUTS)?;
    let told = quick
        .wait(|heard| heard.iter().map(|r| r.events.len()).sum::<usize>() == all)
        .await;
    ensure!(told, "who reads was not told all");
    let mut revisions = Vec::new();
    while revisions.len() < all {
        revisions.extend(slow.read().await?);
    }
    let wanted: Vec<i64> = (last - PUTS + 1..=last).collect();
    ensure!(revisions == wanted, "who reads late was told {revisions:?}");
    locks.close().await;
    store.close().await;
    Ok(())
}

/// How much memory a process holds, in KiB.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.context("no VmRSS")?.parse()?)
}

/// The number of keys: `LEASEHOLD_KEYS`, or few enough for every day.
fn keys() -> Result<u64> {
    match std::env::var("LEASEHOLD_KEYS") {
        Ok(asked) => asked.parse().context("LEASEHOLD_KEYS wants a number"),
        Err(_) => Ok(50_000),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn many_keys_take_little_memory_and_are_there_after_a_restart() -> Result<()> {
    const TXN: u64 = 128;
    let mut store = Etcd::start(Version::Embedded)?;
    let count = keys()?.next_multiple_of(TXN);
    let before = resident(store.node(0)?.process()?.pid())?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let wire = Wire::connect(&store.endpoint()).await?;
        for first in (0..count).step_by(usize::try_from(TXN)?) {
            let keys = (first..first + TXN).map(|number| format!("/many/keys/{number:010}"));
            wire.put_all(keys, b"a value of 32 bytes, as it were.")
                .await?;
        }
        anyhow::Ok(())
    })?;
    let after = resident(store.node(0)?.process()?.pid())?;
    let each = after.saturating_sub(before) * 1024 / count;
    println!("{count} keys: {after} KiB, {each} bytes a key");
    // A key has 22 bytes, its value 32; the rest is the index, the history and the cache of the disk.
    ensure!(
        each < 2000,
        "{count} keys take {after} KiB, {each} bytes each"
    );
    store.restart()?;
    let ctl = Etcdctl::new(Version::V3_5, &store.endpoints())?;
    let fields = ctl.run(&["get", "--prefix", "/many/", "--count-only", "-w", "fields"])?;
    ensure!(fields.contains(&format!("\"Count\" : {count}")), "{fields}");
    println!(
        "after a restart: {} KiB",
        resident(store.node(0)?.process()?.pid())?
    );
    Ok(())
}
