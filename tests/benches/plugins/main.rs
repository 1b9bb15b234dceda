//! Dropped-in plugins: from a file to its first run, changes under load, a thousand jobs of ten plugins, and
//! what the way to the store costs a guest.
//!
//! `scripts/bench` runs this on a release build of the host. Nothing here asserts.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leasehold_lock::{ConnectOptions, LeaseId, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::process;
use leasehold_tests::wait::boot_ns;
use leasehold_tests::wat_plugins::{self, printer};

/// Longest wait; reaching it is an error of the machine or of the host.
const PATIENCE: Duration = Duration::from_mins(2);
const DROPS: usize = 100;
const JOBS: usize = 1000;
const PLUGINS: usize = 10;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let etcd = Etcd::start(Version::V3_5)?;
    drop_to_first_run(&etcd)?;
    reload_under_load(&etcd)?;
    a_thousand_jobs(&etcd)?;
    fenced_put(&runtime, &etcd)
}

fn dropping(host: &str, etcd: &Etcd) -> Config {
    config_for(host, etcd).plugins("dir", "plugins")
}

fn start(config: &Config) -> Result<HostProcess> {
    let host = HostProcess::start_in_prepared(config, |dir| {
        Ok(std::fs::create_dir(dir.join("plugins"))?)
    })?;
    host.wait_for(PATIENCE, |event| event.is("store-connected"))?;
    Ok(host)
}

fn put(host: &HostProcess, name: &str, bytes: &[u8]) -> Result<u64> {
    let folder = host.dir().join("plugins");
    let new = folder.join(format!(".{name}"));
    std::fs::write(&new, bytes)?;
    let now = boot_ns();
    std::fs::rename(&new, folder.join(name))?;
    Ok(now)
}

fn millis(sorted: &mut [u64]) -> String {
    sorted.sort_unstable();
    let at = |of: usize| {
        let index = (sorted.len() - 1) * of / 100;
        Duration::from_nanos(sorted[index])
    };
    format!(
        "p50 {:.1?}, p99 {:.1?}, max {:.1?}",
        at(50),
        at(99),
        at(100)
    )
}

/// From a file in the folder to the first output of its guest: a new plugin, and one in the cache.
fn drop_to_first_run(etcd: &Etcd) -> Result<()> {
    let host = start(&dropping("drops", etcd))?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    // The ledger's size and imports, with bytes that no cache has seen.
    let real = std::fs::read(guests::ledger()?)?;
    for number in 0..DROPS {
        // The cache outlives a run of this bench.
        let bytes = printer(&format!("drop {number} of {}", std::process::id()), 60_000)?;
        for into in [&mut cold, &mut warm] {
            into.push(first_word(&host, "small.wasm", &bytes)?);
            let mark = host.mark();
            std::fs::remove_file(host.dir().join("plugins/small.wasm"))?;
            gone(&host, mark)?;
        }
    }
    println!("from a file in the folder to its guest's first word, {DROPS} drops");
    println!("  never seen   {}", millis(&mut cold));
    println!("  in the cache {}", millis(&mut warm));
    let mut typed = Vec::new();
    let own_keys = b"config = { prefix = \"dropped.ledger/\" }\n[allow]\nkv = [\"{job}/\"]\n";
    put(&host, "ledger.toml", own_keys)?;
    for number in 0..10 {
        let mut bytes = real.clone();
        wat_plugins::section(&mut bytes, "padding", &[number; 10]);
        wat_plugins::section(&mut bytes, "run", &std::process::id().to_le_bytes());
        typed.push(first_word(&host, "ledger.wasm", &bytes)?);
        let mark = host.mark();
        std::fs::remove_file(host.dir().join("plugins/ledger.wasm"))?;
        gone(&host, mark)?;
    }
    println!(
        "  the ledger, a typed job of {} kB, never seen: {}",
        real.len() / 1000,
        millis(&mut typed)
    );
    Ok(())
}

/// Waits for the last event of a removed job.
fn gone(host: &HostProcess, mark: usize) -> Result<()> {
    host.wait_after(mark, PATIENCE, |event| event.is("job-removed"))?;
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}

fn first_word(host: &HostProcess, name: &str, bytes: &[u8]) -> Result<u64> {
    let mark = host.mark();
    let dropped = put(host, name, bytes)?;
    let word = host.wait_after(mark, PATIENCE, |event| {
        event.is("guest") || event.is("progress") || event.is("plugin-refused")
    })?;
    let at = word.boot_ns().context("an event without a moment")?;
    Ok(at.saturating_sub(dropped))
}

/// Two hosts hand one lock to and fro; then the same while files change in both folders all the time.
fn reload_under_load(etcd: &Etcd) -> Result<()> {
    let plugin = guests::heartbeat()?;
    let config = |name: &str| {
        dropping(name, etcd).job("ball", |job| {
            job.plugin(&plugin)
                .args(&["1", "0"])
                .restart("10ms", "10ms")
        })
    };
    let hosts = [start(&config("left"))?, start(&config("right"))?];
    println!("\nhand-off of one lock between two hosts, from a release to the next grant");
    for churn in [false, true, false, true] {
        let marks: Vec<usize> = hosts.iter().map(HostProcess::mark).collect();
        let until = Instant::now() + Duration::from_secs(8);
        let mut changes = 0;
        while Instant::now() < until {
            if churn {
                for host in &hosts {
                    changes += 1;
                    put(
                        host,
                        "other.wasm",
                        &printer(&format!("change {changes}"), 60_000)?,
                    )?;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut gaps = gaps(&hosts, &marks);
        let what = if churn { "files changing" } else { "quiet" };
        println!(
            "  {what:14} {} hand-offs, {changes} changes: {}",
            gaps.len(),
            millis(&mut gaps)
        );
    }
    Ok(())
}

/// From each release of the ball to the other host's grant, where that one was waiting.
fn gaps(hosts: &[HostProcess], marks: &[usize]) -> Vec<u64> {
    let mut events: Vec<Event> = Vec::new();
    for (host, mark) in hosts.iter().zip(marks) {
        events.extend(host.events().split_off(*mark));
    }
    events.retain(|event| event.job() == Some("ball"));
    events.sort_by_key(Event::boot_ns);
    let mut gaps = Vec::new();
    let mut released: Option<(u64, Option<String>)> = None;
    for event in events {
        match (event.name(), event.boot_ns()) {
            // The lock is free from the moment the guest has been seen stopped.
            ("run-ended", _) => {
                released = event
                    .stopped_ns()
                    .map(|at| (at, event.host().map(str::to_owned)));
            }
            ("acquired", Some(at)) => {
                if let Some((from, by)) = released.take()
                    && by.as_deref() != event.host()
                {
                    gaps.push(at.saturating_sub(from));
                }
            }
            _ => {}
        }
    }
    gaps
}

/// Memory of one host with many jobs: of one plugin each, and of a few that they share.
fn a_thousand_jobs(etcd: &Etcd) -> Result<()> {
    let real = std::fs::read(guests::stubborn()?)?;
    let dir = tempfile::tempdir()?;
    println!();
    for (jobs, plugins) in [(PLUGINS, PLUGINS), (JOBS, PLUGINS)] {
        for number in 0..plugins {
            let mut bytes = real.clone();
            wat_plugins::section(&mut bytes, "padding", &vec![1; number + 1]);
            std::fs::write(dir.path().join(format!("{number}.wasm")), bytes)?;
        }
        // A root of its own: the other one's ticks have been run already.
        let root = format!("/bench-{jobs}/");
        let mut config = config_for("many", etcd).store("root", root);
        for number in 0..jobs {
            let plugin = dir.path().join(format!("{}.wasm", number % plugins));
            config = config.job(&format!("job-{number:04}"), |job| job_of(job, &plugin));
        }
        let began = Instant::now();
        let host = HostProcess::start(&config)?;
        let mut done = HashSet::new();
        host.wait_for(PATIENCE, |event| {
            if event.is("run-ended") {
                done.extend(event.job().map(str::to_owned));
            }
            done.len() == jobs
        })?;
        println!(
            "{jobs} jobs of {plugins} plugins in one host: all have run after {:.1?}; resident {} MiB",
            began.elapsed(),
            resident_mib(host.pid())?
        );
    }
    Ok(())
}

fn job_of(job: guests::Job, plugin: &Path) -> guests::Job {
    job.plugin(plugin).every("1h").config("mode", "ok")
}

fn resident_mib(pid: u32) -> Result<u64> {
    Ok(process::resident(pid)? / 1024)
}

/// A guest's fenced write against a raw one, one after the other, in turns.
fn fenced_put(runtime: &tokio::runtime::Runtime, etcd: &Etcd) -> Result<()> {
    let scribe = guests::scribe()?;
    let endpoint = etcd.endpoint();
    let config = config_for("scribe", etcd).job("scribe", |job| {
        let job = job
            .plugin(&scribe)
            .config("writes", 1000)
            .restart("1500ms", "2s");
        job.allow_kv(&["scribe/"])
    });
    let host = HostProcess::start(&config)?;
    let (mut fenced, mut raw) = (Vec::new(), Vec::new());
    let mut mark = 0;
    for _ in 0..5 {
        let ended = host.wait_after(mark, PATIENCE, |event| event.is("run-ended"))?;
        mark = host.mark();
        let detail = ended.str("detail").unwrap_or_default();
        let took = detail
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse::<u64>().ok());
        fenced.push(took.with_context(|| format!("an unknown answer: {detail}"))?);
        raw.push(runtime.block_on(raw_put(&endpoint))?);
    }
    fenced.sort_unstable();
    raw.sort_unstable();
    let (fenced, raw) = (
        Duration::from_nanos(fenced[2]),
        Duration::from_nanos(raw[2]),
    );
    println!(
        "\na guest's `fenced-kv.put`: p50 {fenced:.0?}; a raw put: p50 {raw:.0?}; {:.2} x",
        fenced.as_secs_f64() / raw.as_secs_f64()
    );
    Ok(())
}

async fn raw_put(endpoint: &str) -> Result<u64> {
    let endpoint = endpoint.to_owned();
    // On a worker, as the host's own requests are.
    tokio::spawn(async move {
        let locks = Locks::connect(ConnectOptions::new([endpoint])).await?;
        let mut took = Vec::new();
        for number in 0..1000_u32 {
            let began = Instant::now();
            locks
                .kv()
                .put("/bench/raw", number.to_string().as_bytes(), LeaseId::NONE)
                .await?;
            took.push(u64::try_from(began.elapsed().as_nanos())?);
        }
        locks.close().await;
        took.sort_unstable();
        Ok(took[took.len() / 2])
    })
    .await?
}
