//! Overhead of a host over a lock: from grant to guest, from loss to stop, and a thousand waiting jobs.
//!
//! `scripts/bench` runs this on a release build of the host, over its own event log: every moment is
//! read from the boot-time clock by the host itself. Nothing here asserts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leasehold_lock::{Acquire, ConnectOptions, Grant, Locks, Token};
use leasehold_records::RunRecord;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::{self, cpu_seconds};

/// A run or a wait that takes this long is a fault of the machine or of ours.
const PATIENCE: Duration = Duration::from_mins(1);
const WAITING_JOBS: usize = 1000;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let etcd = Etcd::start(Version::V3_5)?;
    println!("grant to the guest's first call into the host");
    grant_to_guest(&etcd, "runs behind one another", 10, 2000)?;
    grant_to_guest(&etcd, "after a rest of 10 ms", 1, 300)?;
    println!("\nloss known to last guest instruction (a guest that spins)");
    loss_to_stop(&runtime, &etcd, "idle", 0, 200)?;
    loss_to_stop(&runtime, &etcd, "4 CPU hogs", 4, 200)?;
    for version in [Version::V3_5, Version::V3_4, Version::Embedded] {
        recorded(&runtime, version)?;
    }
    waiting_jobs(&runtime, &etcd)
}

/// Jobs whose runs follow one another as fast as the host can: how many of the last runs have a record, and how
/// many revisions of the store a run costs.
fn recorded(runtime: &tokio::runtime::Runtime, version: Version) -> Result<()> {
    const JOBS: usize = 40;
    const RUNS: usize = 10_000;
    const LOOKED_AT: usize = 60;
    let etcd = Etcd::start(version)?;
    let plugin = guests::heartbeat()?;
    let mut config = guests::config_for("bench", &etcd).host("max_runs", 200);
    for n in 0..JOBS {
        config = config.job(&format!("beat-{n:02}"), |job| {
            job.plugin(&plugin).restart("10ms", "10ms").args(&["1"])
        });
    }
    let mut host = HostProcess::start(&config)?;
    host.wait_for(PATIENCE, |event| event.is("run-ended"))?;
    let (began, before, mut ended) = (Instant::now(), etcd.revision()?, 0);
    host.wait_for(PATIENCE, |event| {
        ended += usize::from(event.is("run-ended"));
        ended >= RUNS
    })?;
    let (took, after) = (began.elapsed(), etcd.revision()?);
    host.term()?;
    host.wait_exit(PATIENCE)?;
    let locks = runtime.block_on(Locks::connect(ConnectOptions::new([etcd.endpoint()])))?;
    let found = runtime.block_on(locks.kv().list("/leasehold/runs/", 0))?;
    runtime.block_on(locks.close());
    let records = found.iter().map(|kv| RunRecord::from_json(&kv.value));
    let records: Vec<RunRecord> = records.collect::<Result<_, _>>()?;
    let mut by_job: HashMap<String, Vec<u64>> = HashMap::new();
    for event in host.events().iter().filter(|event| event.is("run-ended")) {
        let (job, token) = event.job().zip(event.token()).context("whose run?")?;
        by_job.entry(job.to_owned()).or_default().push(token);
    }
    let newest = by_job.iter().flat_map(|(job, tokens)| {
        let tokens = tokens.iter().rev().take(LOOKED_AT);
        tokens.map(move |token| (job, *token))
    });
    let (found, missing): (Vec<_>, Vec<_>) = newest.partition(|(job, token)| {
        let mut of = records.iter().filter(|run| run.job == **job);
        of.any(|run| run.covers(Token::new(*token), 0))
    });
    let (runs, revisions) = (f64::from(u32::try_from(ended)?), after - before);
    println!(
        "\nrecords of {JOBS} jobs on {version:?}: {:.0} runs/s, {:.2} revisions a run; of {} runs looked at {} without a record",
        runs / took.as_secs_f64(),
        f64::from(u32::try_from(revisions)?) / runs,
        found.len() + missing.len(),
        missing.len()
    );
    Ok(())
}

/// From the moment the lock is ours to the guest's first call into the host. Jobs of one lock keep the
/// processor at work; one job alone leaves it to others, who leave it cold.
fn grant_to_guest(etcd: &Etcd, what: &str, jobs: usize, runs: usize) -> Result<()> {
    let plugin = guests::heartbeat()?;
    let mut config = guests::config_for("bench", etcd);
    for n in 0..jobs {
        config = config.job(&format!("beat-{n}"), |job| {
            job.plugin(&plugin)
                .lock(&format!("of-{jobs}"))
                .restart("10ms", "10ms")
                .args(&["1", "0"])
        });
    }
    let host = HostProcess::start(&config)?;
    let mut ended = 0;
    host.wait_for(PATIENCE, |event| {
        ended += usize::from(event.is("run-ended"));
        ended >= runs
    })?;
    let mut granted: HashMap<u64, u64> = HashMap::new();
    let mut first = Vec::new();
    for event in host.events() {
        let (Some(token), Some(at)) = (event.token(), event.boot_ns()) else {
            continue;
        };
        match event.name() {
            "acquired" => {
                granted.insert(token, at);
            }
            "run-ended" => {
                let called = event.u64("first_admitted_ns");
                if let (Some(from), Some(called)) = (granted.remove(&token), called) {
                    first.push(Duration::from_nanos(called.saturating_sub(from)));
                }
            }
            _ => {}
        }
    }
    // The first run of a process pays for page faults that no later one sees.
    first.drain(..10.min(first.len()));
    first.sort_unstable();
    println!(
        "  {what:24} {} runs: p50 {:?}, p99 {:?}",
        first.len(),
        first[first.len() / 2],
        first[first.len() * 99 / 100]
    );
    Ok(())
}

/// Deletes the lock's entry under a spinning guest, again and again.
fn loss_to_stop(
    runtime: &tokio::runtime::Runtime,
    etcd: &Etcd,
    what: &str,
    hogs: usize,
    samples: usize,
) -> Result<()> {
    let plugin = guests::stubborn()?;
    let config = guests::config_for("bench", etcd).job("spin", |job| {
        job.plugin(&plugin)
            .config("mode", "spin")
            .config("after_beats", 1)
    });
    let busy = Hogs::start(hogs);
    let host = HostProcess::start(&config)?;
    let locks = runtime.block_on(Locks::connect(ConnectOptions::new([etcd.endpoint()])))?;
    let mut times = Vec::new();
    let mut mark = host.mark();
    for _ in 0..samples {
        host.wait_after(mark, PATIENCE, |event| event.is("guest"))?;
        mark = host.mark();
        let entries = runtime.block_on(locks.kv().keys("/leasehold/locks/spin/"))?;
        let entry = entries.first().context("the lock has no holder")?;
        runtime.block_on(locks.kv().delete(entry))?;
        let lost = host.wait_after(mark, PATIENCE, |event| event.is("lock-lost"))?;
        let ended = host.wait_after(mark, PATIENCE, |event| event.is("run-ended"))?;
        times.push(gap(&lost, &ended)?);
    }
    drop(busy);
    times.sort_unstable();
    println!(
        "  {what:12} {} stops: p50 {:?}, p99 {:?}, max {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    );
    runtime.block_on(locks.close());
    Ok(())
}

fn gap(lost: &Event, ended: &Event) -> Result<Duration> {
    let from = lost.boot_ns().context("lock-lost without a moment")?;
    let to = ended.stopped_ns().context("run-ended without a moment")?;
    Ok(Duration::from_nanos(to.saturating_sub(from)))
}

/// Threads that do nothing but use the processor.
struct Hogs {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Hogs {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A thousand jobs that wait for a thousand locks of another holder.
fn waiting_jobs(runtime: &tokio::runtime::Runtime, etcd: &Etcd) -> Result<()> {
    let locks = runtime.block_on(Locks::connect(ConnectOptions::new([etcd.endpoint()])))?;
    let held = runtime.block_on(hold_all(&locks))?;
    // Our own renewal stream opens a moment after its lease was granted, and is not to be counted.
    std::thread::sleep(Duration::from_secs(3));
    let streams = || {
        etcd.metric(
            "grpc_server_started_total",
            "grpc_method=\"LeaseKeepAlive\"",
        )
    };
    let before = streams()?;
    let plugin = guests::heartbeat()?;
    let mut config = guests::config_for("bench", etcd);
    for n in 0..WAITING_JOBS {
        config = config.job(&format!("job-{n:04}"), |job| {
            job.plugin(&plugin).lock(&format!("many/{n:04}"))
        });
    }
    let began = Instant::now();
    let host = HostProcess::start(&config)?;
    let mut waiting = std::collections::HashSet::new();
    host.wait_for(PATIENCE, |event| {
        if event.is("waiting") {
            waiting.extend(event.job().map(str::to_owned));
        }
        waiting.len() == WAITING_JOBS
    })?;
    let all_wait = began.elapsed();
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, from) = (cpu_seconds(host.pid())?, Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let share = (cpu_seconds(host.pid())? - cpu) / from.elapsed().as_secs_f64();
    println!(
        "\n{WAITING_JOBS} jobs waiting on {WAITING_JOBS} locks in one host: all in line after {all_wait:.1?}; \
         renewal streams {}; CPU {:.2} %; RSS {:.0} MiB",
        streams()? - before,
        share * 100.0,
        rss_mib(host.pid())?
    );
    drop(held);
    Ok(())
}

async fn hold_all(locks: &Locks) -> Result<Vec<Grant>> {
    let mut held = Vec::new();
    for n in 0..WAITING_JOBS {
        let name = format!("/leasehold/locks/many/{n:04}");
        held.push(
            locks
                .acquire(Acquire::new(name).ttl(Duration::from_mins(1)))
                .await?,
        );
    }
    Ok(held)
}

fn rss_mib(pid: u32) -> Result<f64> {
    let kib = u32::try_from(process::resident(pid)?)?;
    Ok(f64::from(kib) / 1024.0)
}
