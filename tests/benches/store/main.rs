//! The embedded store against etcd 3.5 on the same disk, in one run, as ratios.
//!
//! `scripts/bench` runs this on a release build of the host. Rounds alternate between the servers, because
//! only what ran in the same minute compares. Nothing here asserts: a slow disk is not a fault.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_client::{LeaseGrantOptions, PutOptions};
use leasehold_lock::{Acquire, Locks};
use leasehold_tests::binaries::{self, Version};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use reach::Reach;
use round::{Round, median};
use server::{Inside, Kind, Server};

mod reach;
mod round;
mod server;

/// Rounds of each measurement; the median round is shown.
const ROUNDS: usize = 3;
const CLIENTS: [usize; 3] = [1, 10, 100];
const KEYS: usize = 100_000;
const LEASES: usize = 10_000;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if only.as_deref() == Some("cold start") {
        return cold_start();
    }
    if let Some(what) = only {
        let (theirs, ours) = (
            Server::start(&runtime, Kind::Etcd)?,
            Server::start(&runtime, Kind::Durable)?,
        );
        return rows(&runtime, &theirs.reach, &ours.reach, &what);
    }
    println!("durable: every write waits for the disk (target/, the disk this was built on)\n");
    versus(&runtime, Kind::Etcd, Kind::Durable)?;
    println!("\nin memory, against etcd on the disk\n");
    versus(&runtime, Kind::Etcd, Kind::Memory)?;
    println!("\nin memory, in the same process, against etcd on the disk\n");
    versus_inside(&runtime, Kind::Memory)?;
    println!("\ndurable, in the same process\n");
    versus_inside(&runtime, Kind::Durable)?;
    println!();
    cold_start()?;
    weight(&runtime)?;
    size()
}

fn versus(runtime: &Runtime, theirs: Kind, ours: Kind) -> Result<()> {
    let (theirs, ours) = (
        Server::start(runtime, theirs)?,
        Server::start(runtime, ours)?,
    );
    rows(runtime, &theirs.reach, &ours.reach, "")
}

/// The store as hosts have it that embed it: a part of this process.
fn versus_inside(runtime: &Runtime, ours: Kind) -> Result<()> {
    let theirs = Server::start(runtime, Kind::Etcd)?;
    let ours = Inside::open(runtime, ours)?;
    rows(runtime, &theirs.reach, &ours.reach, "")?;
    ours.close(runtime);
    Ok(())
}

/// Every row whose name begins like this, as `put 1` does.
fn rows(runtime: &Runtime, theirs: &Reach, ours: &Reach, only: &str) -> Result<()> {
    println!(
        "                     etcd 3.5.1                            ours                                 ours/etcd"
    );
    let wanted = |what: &str, clients: usize| format!("{what} {clients}").starts_with(only);
    for clients in CLIENTS
        .into_iter()
        .filter(|clients| wanted("put", *clients))
    {
        row(runtime, theirs, ours, "put", clients, |reach| {
            puts(reach, clients)
        })?;
    }
    let cycling = |clients: &usize| wanted("lock cycle", *clients);
    for clients in CLIENTS.into_iter().filter(cycling) {
        row(runtime, theirs, ours, "lock cycle", clients, |reach| {
            cycles(reach, clients)
        })?;
    }
    if wanted("hand-off", 10) {
        row(runtime, theirs, ours, "hand-off", 10, handoffs)?;
    }
    Ok(())
}

fn row<F: Future<Output = Result<Round>>>(
    runtime: &Runtime,
    theirs: &Reach,
    ours: &Reach,
    what: &str,
    clients: usize,
    measure: impl Fn(Reach) -> F,
) -> Result<()> {
    let (mut of_theirs, mut of_ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_theirs.push(runtime.block_on(measure(theirs.clone()))?);
        of_ours.push(runtime.block_on(measure(ours.clone()))?);
    }
    let (theirs, ours) = (median(of_theirs), median(of_ours));
    println!(
        "  {what:10} {clients:4}   {}   {}   {:6.2}x",
        theirs.show(),
        ours.show(),
        ours.per_second / theirs.per_second
    );
    Ok(())
}

/// Operations of a round: enough for a stable median, few enough for a slow disk.
const fn turns(clients: usize) -> usize {
    match clients {
        1 => 400,
        10 => 200,
        _ => 60,
    }
}

/// Each client puts 64 bytes, one after the other.
async fn puts(reach: Reach, clients: usize) -> Result<Round> {
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(reach.client().await?);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, mut client) in connected.into_iter().enumerate() {
        tasks.spawn(async move {
            let mut times = Vec::new();
            for turn in 0..turns(clients) {
                let began = Instant::now();
                let key = format!("/bench/put/{number}/{}", turn % 100);
                client.put(key, [7; 64], None).await?;
                times.push(began.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    gather(tasks, began).await
}

/// Each client takes and gives back a lock of its own.
async fn cycles(reach: Reach, clients: usize) -> Result<Round> {
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(Locks::connect(reach.options()).await?);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, locks) in connected.iter().cloned().enumerate() {
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..turns(clients) / 2 {
                let began = Instant::now();
                let lock = format!("/bench/cycle/{number}");
                locks.acquire(Acquire::new(&lock)).await?.release().await?;
                times.push(began.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let round = gather(tasks, began).await;
    for locks in connected {
        locks.close().await;
    }
    round
}

/// Ten clients hand one lock around; the times are from one holder to the next.
async fn handoffs(reach: Reach) -> Result<Round> {
    let mut connected = Vec::new();
    for _ in 0..10 {
        connected.push(Locks::connect(reach.options()).await?);
    }
    let inside = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for locks in &connected {
        let (locks, inside) = (locks.clone(), Arc::clone(&inside));
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..60 {
                let grant = locks.acquire(Acquire::new("/bench/handoff")).await?;
                let others = inside.fetch_add(1, Ordering::SeqCst);
                ensure!(others == 0, "two holders at once");
                times.push(began.elapsed());
                inside.fetch_sub(1, Ordering::SeqCst);
                grant.release().await?;
            }
            Ok(times)
        });
    }
    let mut moments = Vec::new();
    while let Some(done) = tasks.join_next().await {
        moments.extend(done??);
    }
    let took = began.elapsed();
    for locks in connected {
        locks.close().await;
    }
    moments.sort_unstable();
    let gaps = moments
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .collect();
    Ok(Round::of(gaps, took))
}

async fn gather(mut tasks: JoinSet<Result<Vec<Duration>>>, began: Instant) -> Result<Round> {
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(Round::of(times, began.elapsed()))
}

/// From starting the program, with a store of its own, to the first grant; plugins are compiled already.
fn cold_start() -> Result<()> {
    let dir = tempfile::Builder::new()
        .prefix("bench-store-")
        .tempdir_in(binaries::workspace().join("target"))?;
    let config = dir.path().join("cold.toml");
    let plugin = binaries::plugin("heartbeat")?.canonicalize()?;
    std::fs::write(
        &config,
        format!(
            "[host]\ndata_dir = \"data\"\n[store]\nembedded = true\n[jobs.beat]\nplugin = {:?}\nonce = true\nargs = [\"1\", \"0\"]\n",
            plugin.display().to_string()
        ),
    )?;
    let mut times = Vec::new();
    for turn in 0..12 {
        let began = Instant::now();
        let mut host = Command::new(binaries::leasehold()?)
            .args(["run", "--log-format", "json", "-c"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = BufReader::new(host.stdout.take().context("no standard output")?);
        let mut granted = None;
        for line in said.lines() {
            if granted.is_none() && line?.contains("\"acquired\"") {
                granted = Some(began.elapsed());
            }
        }
        ensure!(host.wait()?.success(), "the host failed");
        // The first start compiles the plugin and makes the store.
        if turn > 0 {
            times.push(granted.context("the job never ran")?);
        }
    }
    times.sort_unstable();
    println!(
        "cold start to first grant, store on the disk, compile cache warm: median {:?}, slowest {:?}\n",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    Ok(())
}

/// Memory of a server for many keys and leases.
fn weight(runtime: &Runtime) -> Result<()> {
    println!("resident memory, MiB    empty   {KEYS} keys of 64 B   and {LEASES} leases");
    for kind in [Kind::Etcd, Kind::Durable, Kind::Memory] {
        let server = Server::start(runtime, kind)?;
        let empty = server.resident()?;
        runtime.block_on(fill(&server.reach, KEYS))?;
        let keys = server.resident()?;
        runtime.block_on(lease(&server.reach, LEASES))?;
        let leases = server.resident()?;
        println!("  {kind:<20?} {empty:6.0}   {keys:17.0}   {leases:16.0}");
    }
    Ok(())
}

/// Many at a time over one connection, or a slow disk would take minutes.
async fn fill(reach: &Reach, count: usize) -> Result<()> {
    let client = reach.client().await?;
    let mut tasks = JoinSet::new();
    for worker in 0..500 {
        let mut client = client.clone();
        tasks.spawn(async move {
            for number in (worker..count).step_by(500) {
                let key = format!("/bench/weight/{number:08}");
                client.put(key, [7; 64], None).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn lease(reach: &Reach, count: usize) -> Result<()> {
    let client = reach.client().await?;
    let mut tasks = JoinSet::new();
    for worker in 0..200 {
        let mut client = client.clone();
        tasks.spawn(async move {
            for number in (worker..count).step_by(200) {
                let id = i64::try_from(number)? + 1;
                let options = LeaseGrantOptions::new().with_id(id);
                client.lease_grant(3600, Some(options)).await?;
                let with = PutOptions::new().with_lease(id);
                let key = format!("/bench/leased/{number:08}");
                client.put(key, "x", Some(with)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Sizes of the programs.
fn size() -> Result<()> {
    let mib = |path: &Path| -> Result<String> {
        let bytes = u32::try_from(std::fs::metadata(path)?.len() / 1024)?;
        Ok(format!("{:.1} MiB", f64::from(bytes) / 1024.0))
    };
    println!("\nsize of the program");
    println!("  etcd 3.5.1    {}", mib(&Version::V3_5.etcd()?)?);
    println!("  leasehold     {}", mib(&binaries::leasehold()?)?);
    Ok(())
}
