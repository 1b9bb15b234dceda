//! Many watches, and watchers that do not read: both have a bounded cost, and other clients do not wait for them.
//!
//! Bounds are on the process as a whole. Data of a test is in memory by design, so it is part of the bound.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use etcd_client::{Client, Event, WatchOptions, WatchStream};

use crate::SLACK;
use crate::client::{connect, connect_to, next, watch_all};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_watches_on_one_stream_cost_little() -> Result<()> {
    const WATCHES: usize = 10_000;
    /// MiB for all of them. Measured: 10.
    const BOUND: u64 = 100;
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    let before = server.resident_mib()?;
    let stream = client.watch("k0", None).await?;
    let (mut asks, mut answers) = stream.split();
    // Half of them on a key of their own, half on ranges that overlap.
    let asking = tokio::spawn(async move {
        for number in 1..WATCHES {
            let options = (number % 2 == 1).then(|| WatchOptions::new().with_prefix());
            let key = if number % 2 == 1 {
                "shared/".to_owned()
            } else {
                format!("k{number}")
            };
            asks.watch(key, options).await?;
        }
        Ok::<_, etcd_client::Error>(asks)
    });
    let mut ids = Vec::new();
    while ids.len() < WATCHES {
        let answer = tokio::time::timeout(SLACK, answers.message()).await??;
        let answer = answer.context("the stream ended")?;
        ensure!(answer.created() && !answer.canceled(), "{answer:?}");
        ids.push(answer.watch_id());
    }
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == WATCHES, "{} ids", ids.len());
    let _asks = asking.await??;

    // One that concerns one of them, and one that concerns half.
    let mut other = connect(&server).await?;
    other.put("k4000", "x", None).await?;
    let answer = tokio::time::timeout(SLACK, answers.message()).await??;
    ensure!(answer.is_some_and(|answer| answer.events().len() == 1));
    other.put("shared/x", "x", None).await?;
    let mut told = Vec::new();
    while told.len() < WATCHES / 2 {
        let answer = tokio::time::timeout(SLACK, answers.message()).await??;
        let answer = answer.context("the stream ended")?;
        ensure!(answer.events().len() == 1, "{answer:?}");
        told.push(answer.watch_id());
    }
    told.sort_unstable();
    told.dedup();
    ensure!(told.len() == WATCHES / 2, "some were told twice");
    // Watches of other keys cost the writer no measurable time.
    for number in 0..500 {
        other.put(format!("unwatched/{number}"), "x", None).await?;
    }
    let taken = server.peak_mib()?.saturating_sub(before);
    println!("{WATCHES} watches: peak {taken} MiB above {before} MiB");
    ensure!(taken < BOUND, "{taken} MiB for {WATCHES} watches");
    server.is_well()
}

/// Bytes of a value.
const VALUE: usize = 100 * 1024;

/// A watcher on a thread that has stopped reading its socket.
struct Frozen {
    runtime: tokio::runtime::Runtime,
    _held: (Client, WatchStream),
}

impl Frozen {
    fn start(endpoint: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let held = runtime.block_on(async {
            let mut client = connect_to(endpoint).await?;
            let mut stream = watch_all(&mut client, 0).await?;
            let created = next(&mut stream, SLACK).await?;
            ensure!(created.created(), "{created:?}");
            Ok((client, stream))
        })?;
        // Nothing moves from here on: a runtime of one thread runs only while it is waited for.
        Ok(Self {
            runtime,
            _held: held,
        })
    }
}

/// Writes that many large values, and reads them all from a watch at the same time.
async fn write_and_read(client: &mut Client, watch: &mut WatchStream, puts: usize) -> Result<()> {
    let mut writer = client.clone();
    let writing = tokio::spawn(async move {
        for number in 0..puts {
            let key = format!("k{}", number % 10);
            writer.put(key, vec![b'x'; VALUE], None).await?;
        }
        Ok::<_, etcd_client::Error>(())
    });
    let mut heard = 0;
    while heard < puts {
        let response = next(watch, SLACK).await?;
        let large = |event: &&Event| event.kv().is_some_and(|kv| kv.value().len() == VALUE);
        heard += response.events().iter().filter(large).count();
    }
    Ok(writing.await??)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_watches_delay_no_client_and_cost_no_copies() -> Result<()> {
    const EACH: usize = 20;
    const PUTS: usize = 2048;
    /// MiB of events, which are history and held once.
    const WRITTEN: u64 = (VALUE * PUTS / (1024 * 1024)) as u64;
    /// MiB for everything else. Measured: 15. A copy for every slow watcher would be forty times the written data.
    const BOUND: u64 = 150;
    let mut server = Server::in_memory()?.started()?;
    let endpoint = server.endpoint();
    // Some have a connection that is read for other things, and some do not even have that.
    let mut lazy = Vec::new();
    for _ in 0..EACH {
        let mut client = connect(&server).await?;
        lazy.push((watch_all(&mut client, 0).await?, client));
    }
    let freezing = tokio::task::spawn_blocking(move || {
        (0..EACH)
            .map(|_| Frozen::start(&endpoint))
            .collect::<Result<Vec<_>>>()
    });
    let frozen = freezing.await??;
    let mut reader = connect(&server).await?;
    let mut watch = watch_all(&mut reader, 0).await?;
    next(&mut watch, SLACK).await?;
    let mut client = connect(&server).await?;
    let before = server.resident_mib()?;

    // A client that reads gets everything meanwhile.
    write_and_read(&mut client, &mut watch, PUTS).await?;
    let taken = server.peak_mib()?.saturating_sub(before);
    println!(
        "{} slow watchers, {WRITTEN} MiB of events: peak {taken} MiB above {before} MiB",
        2 * EACH
    );
    ensure!(taken < WRITTEN + BOUND, "{taken} MiB for {WRITTEN} MiB");

    // A watcher that reads again has missed nothing.
    let (mut late, _client) = lazy.pop().context("no watch is late")?;
    let woken = Instant::now();
    let mut heard = 0;
    while heard < PUTS {
        heard += next(&mut late, SLACK).await?.events().len();
        ensure!(woken.elapsed() < SLACK, "only {heard} of {PUTS}");
    }
    // Discarded history does not wait for late readers: as much data again takes its place.
    let revision = client.put("k", "x", None).await?;
    let revision = revision.header().context("no header")?.revision();
    client.compact(revision, None).await?;
    write_and_read(&mut client, &mut watch, PUTS).await?;
    let taken = server.peak_mib()?.saturating_sub(before);
    println!("after a compaction and as much again: peak {taken} MiB");
    ensure!(taken < WRITTEN + BOUND, "{taken} MiB for {WRITTEN} MiB");
    server.is_well()?;
    tokio::task::spawn_blocking(move || {
        for frozen in frozen {
            frozen.runtime.shutdown_background();
        }
    })
    .await?;
    Ok(())
}
