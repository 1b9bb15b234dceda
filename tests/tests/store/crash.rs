//! A store that is killed under load: what it acknowledged is there when it comes back.
//!
//! What was under way when it died may be there or not; nobody was told. Power failures are not played here: a
//! killed process leaves what it gave to the kernel.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_lock::{ConnectOptions, Locks};
use leasehold_tests::etcd::{Etcd, Version};

/// How often it is killed.
const ROUNDS: u32 = 6;

/// Writers, each with keys of its own.
const WRITERS: u32 = 8;

/// What the store said is there: the value and the revision of a key's last acknowledged put.
type Acknowledged = HashMap<String, (u64, i64)>;

/// Puts a few keys over and over until the store is gone or it is told to stop.
async fn write(locks: Locks, writer: u32, round: u32, stop: Arc<AtomicBool>) -> Acknowledged {
    let kv = locks.kv();
    let mut acknowledged = Acknowledged::new();
    for count in 0_u64.. {
        let key = format!("/crash/{writer}/{}", count % 5);
        let value = u64::from(round) << 32 | count;
        match kv.put(&key, value.to_string().as_bytes(), 0).await {
            Ok(revision) => acknowledged.insert(key, (value, revision)),
            Err(_) => break,
        };
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_kill_under_load_each_acknowledged_write_is_there() -> Result<()> {
    let mut store = Etcd::start(Version::Embedded)?;
    let mut all = Acknowledged::new();
    let mut newest = 0;
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        let mut clients = Vec::new();
        for writer in 0..WRITERS {
            let locks = Locks::connect(ConnectOptions::new([store.endpoint()])).await?;
            clients.push(locks.clone());
            writers.spawn(write(locks, writer, round, Arc::clone(&stop)));
        }
        let lease = clients[0].lease(Duration::from_mins(10)).await?;
        let leased = clients[0].kv().put("/crash/leased", b"", lease).await?;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..400))).await;
        store.kill()?;
        stop.store(true, Ordering::Relaxed);
        let mut written = 0;
        while let Some(acknowledged) = writers.join_next().await {
            let acknowledged = acknowledged?;
            written += acknowledged.len();
            all.extend(acknowledged);
        }
        ensure!(written > 0, "nothing was written in round {round}");
        for client in clients {
            client.close().await;
        }
        store.restart()?;

        let locks = Locks::connect(ConnectOptions::new([store.endpoint()])).await?;
        let kv = locks.kv();
        for (key, (value, revision)) in &all {
            newest = newest.max(*revision);
            let found = kv.get(key).await?;
            let found = found.map(|kv| (kv.value, kv.mod_revision));
            let Some((bytes, modified)) = found else {
                anyhow::bail!("{key} is lost: it was {value} at {revision}");
            };
            let there: u64 = String::from_utf8(bytes)?.parse()?;
            // A later one may be there that nobody was told of, and never an earlier one.
            ensure!(
                (there, modified) == (*value, *revision)
                    || (there > *value && modified > *revision),
                "{key} is {there} at {modified}; it was acknowledged as {value} at {revision}"
            );
        }
        let revision = kv.put("/crash/after", b"", 0).await?;
        ensure!(revision > newest.max(leased), "{revision} after {newest}");
        newest = revision;
        let (left, granted) = locks.lease_ttl(lease).await?.unwrap_or_default();
        ensure!(
            left > 500 && granted == 600,
            "the lease has {left} s of {granted}"
        );
        let found = kv.get("/crash/leased").await?.map(|kv| kv.lease);
        ensure!(found == Some(lease), "the leased key is {found:?}");
        locks.close().await;
    }
    Ok(())
}
