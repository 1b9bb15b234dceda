//! The cost of metrics: runs and acquisitions with and without them, and a scrape of a thousand jobs.
//!
//! Rounds with and without metrics alternate, because machines are noisy and only what ran in the same minute compares.
//! Nothing here asserts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, Locks, SystemClock};
use leasehold_telemetry::{BuildInfo, Telemetry};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::http::get;
use leasehold_tests::ports::Port;

const PATIENCE: Duration = Duration::from_mins(2);
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    compare("runs/s of 20 jobs", |is_on| runs(&etcd, is_on))?;
    compare("acquisitions/s, one after the other", |is_on| {
        runtime.block_on(acquisitions(&etcd.endpoint(), is_on))
    })?;
    scrapes(&etcd)
}

/// Prints the medians of alternating rounds, and their ratio.
fn compare(what: &str, measure: impl Fn(bool) -> Result<f64>) -> Result<()> {
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        off.push(measure(false)?);
        on.push(measure(true)?);
    }
    let spread = |rates: &[f64]| {
        let most = rates.iter().copied().fold(0.0, f64::max);
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        (most - least) / most * 100.0
    };
    let noise = spread(&off);
    let (off, on) = (median(off), median(on));
    println!(
        "{what}: off {off:.0}, on {on:.0}, on/off {:.3}; rounds without metrics differ by {noise:.0} %",
        on / off
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a second of a host whose jobs run as fast as it can.
fn runs(etcd: &Etcd, is_on: bool) -> Result<f64> {
    const RUNS: usize = 2_000;
    let plugin = guests::heartbeat()?;
    let port = Port::claim()?;
    let mut config = guests::config_for("bench", etcd);
    if is_on {
        config = config.host("listen", port.address().to_string());
    }
    for n in 0..20 {
        config = config.job(&format!("beat-{n:02}"), |job| {
            job.plugin(&plugin).restart("10ms", "10ms").args(&["1"])
        });
    }
    let mut host = HostProcess::start(&config)?;
    host.wait_for(PATIENCE, |event| event.is("run-ended"))?;
    let (began, mut ended) = (Instant::now(), 0);
    host.wait_for(PATIENCE, |event| {
        ended += usize::from(event.is("run-ended"));
        ended >= RUNS
    })?;
    let took = began.elapsed();
    host.term()?;
    host.wait_exit(PATIENCE)?;
    Ok(f64::from(u32::try_from(ended)?) / took.as_secs_f64())
}

/// Acquisitions a second of a free lock.
async fn acquisitions(endpoint: &str, is_on: bool) -> Result<f64> {
    const TIMES: u32 = 1_000;
    let mut options = ConnectOptions::new([endpoint]);
    if is_on {
        let build = BuildInfo {
            version: "bench",
            contract: "bench",
        };
        let telemetry = Telemetry::new(build, Arc::new(SystemClock));
        options = options.observer(telemetry.observer("bench"));
    }
    let locks = Locks::connect(options).await?;
    let acquire = async || -> Result<()> {
        let grant = locks.acquire(Acquire::new("/bench/metrics")).await?;
        grant.release().await?;
        Ok(())
    };
    for _ in 0..50 {
        acquire().await?;
    }
    let began = Instant::now();
    for _ in 0..TIMES {
        acquire().await?;
    }
    let rate = f64::from(TIMES) / began.elapsed().as_secs_f64();
    locks.close().await;
    Ok(rate)
}

/// Scrapes a host with a thousand jobs that have all run.
fn scrapes(etcd: &Etcd) -> Result<()> {
    const JOBS: usize = 1_000;
    let (plugin, port) = (guests::heartbeat()?, Port::claim()?);
    let mut config = guests::config_for("bench", etcd)
        .host("listen", port.address().to_string())
        .host("max_runs", 200);
    for n in 0..JOBS {
        config = config.job(&format!("job-{n:04}"), |job| {
            job.plugin(&plugin).args(&["1"]).once()
        });
    }
    // A job that stays keeps the host running.
    let config = config.job("stays", |job| job.plugin(&plugin).args(&["0"]));
    let host = HostProcess::start(&config)?;
    let mut ended = 0;
    host.wait_for(PATIENCE, |event| {
        ended += usize::from(event.is("job-finished"));
        ended == JOBS
    })?;
    let (mut times, mut size) = (Vec::new(), 0);
    for _ in 0..20 {
        let began = Instant::now();
        let answer = get(port.address(), "/metrics")?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200, "{}", answer.status);
        size = answer.body.len();
    }
    let lines = get(port.address(), "/metrics")?.body.lines().count();
    println!(
        "scrape of {JOBS} jobs: {:.1} ms, transfer included; {lines} lines, {} KiB",
        median(times),
        size / 1024
    );
    Ok(())
}
