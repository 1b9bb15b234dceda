//! The cost of following: processor time of a host with 20 talkative jobs, and bytes put into the store, with no follower
//! and with one for each job.
//!
//! Rounds without and with followers alternate, because machines are noisy. The followers are processes of their own; on a
//! machine with few cores they take time from the host, but none of it is counted as the host's. Nothing here asserts.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use leasehold_lock::{ConnectOptions, FeedItem, KeyChange, Locks};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::{Process, cpu_seconds};
use leasehold_tests::tail::Tail;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);
const JOBS: usize = 20;
const ROUNDS: usize = 3;
/// Time of one measurement.
const WATCHED: Duration = Duration::from_secs(15);
/// Time from the first lines of all followers to a measurement.
const SETTLED: Duration = Duration::from_secs(2);

/// Costs a second.
#[derive(Clone, Copy)]
struct Costs {
    /// Percent of a core.
    cpu: f64,
    kilobytes: f64,
    puts: f64,
}

/// `leasehold logs JOB -f`, running.
struct Follower {
    _process: Process,
    stdout: Tail<String>,
}

fn main() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let runtime = Runtime::new()?;
    println!("a host with {JOBS} jobs, medians of {ROUNDS} rounds of {WATCHED:?}");
    for millis in [100, 10, 1] {
        measure(&etcd, &runtime, millis)?;
    }
    Ok(())
}

/// Prints the costs of jobs that print a line each so many milliseconds.
fn measure(etcd: &Etcd, runtime: &Runtime, millis: u64) -> Result<()> {
    let heartbeat = guests::heartbeat()?;
    let mut config = guests::config_for("bench", etcd).grace("200ms");
    for number in 0..JOBS {
        config = config.job(&name(number), |job| {
            job.plugin(&heartbeat).args(&["0", &millis.to_string()])
        });
    }
    let mut host = HostProcess::start(&config)?;
    for number in 0..JOBS {
        let job = name(number);
        host.wait_for(PATIENCE, |event| {
            event.is("guest") && event.job() == Some(&job)
        })?;
    }
    let (mut alone, mut followed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sleep(SETTLED);
        alone.push(runtime.block_on(watch(etcd, host.pid()))?);
        let followers = (0..JOBS).map(|number| follow(&host, number));
        let followers = followers.collect::<Result<Vec<_>>>()?;
        for follower in &followers {
            let first = |line: &String| line.starts_with("beat ");
            let found = follower.stdout.wait_from(0, PATIENCE, first);
            ensure!(found.is_ok(), "a follower prints nothing");
        }
        sleep(SETTLED);
        followed.push(runtime.block_on(watch(etcd, host.pid()))?);
    }
    let cpu = |costs: &Costs| costs.cpu;
    let (without, with) = (median(&alone, cpu), median(&followed, cpu));
    println!(
        "a line each {millis} ms: host {without:.1} % of a core, followed {with:.1} % ({:+.1}); into the store {:.1} kB/s, \
         followed {:.1} kB/s in {:.0} puts/s",
        with - without,
        median(&alone, |costs| costs.kilobytes),
        median(&followed, |costs| costs.kilobytes),
        median(&followed, |costs| costs.puts),
    );
    host.term()?;
    host.wait_exit(PATIENCE)?;
    Ok(())
}

fn name(number: usize) -> String {
    format!("talker-{number:02}")
}

fn follow(host: &HostProcess, number: usize) -> Result<Follower> {
    let mut command = Command::new(binaries::leasehold()?);
    command.args(["logs", &name(number), "-f", "-c"]);
    command.arg(host.dir().join("leasehold.toml"));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process::spawn("leasehold logs", &mut command)?;
    let stdout = process.take_stdout().context("no standard output")?;
    Ok(Follower {
        _process: process,
        stdout: Tail::read(stdout, str::to_owned)?,
    })
}

/// Costs of the host at this time. Keys and values of all writes are counted, and no deletions.
async fn watch(etcd: &Etcd, pid: u32) -> Result<Costs> {
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let mut feed = locks.feed(["/leasehold/"]);
    let is_ready = |item: &FeedItem| matches!(item, FeedItem::Reading { .. });
    while !is_ready(&feed.next().await.context("the feed ended")?) {}
    let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
    let (mut bytes, mut puts) = (0, 0_u32);
    while let Some(left) = WATCHED.checked_sub(began.elapsed()) {
        let Ok(item) = timeout(left, feed.next()).await else {
            break;
        };
        match item.context("the feed ended")? {
            FeedItem::Changes { changes, .. } => {
                let sizes: Vec<usize> = changes.iter().filter_map(size).collect();
                bytes += sizes.iter().sum::<usize>();
                puts += u32::try_from(sizes.len())?;
            }
            FeedItem::Down { reason } => bail!("{reason}"),
            FeedItem::Reading { .. } | FeedItem::Denied { .. } => {}
        }
    }
    let took = began.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(pid)? - cpu) / took * 100.0;
    locks.close().await;
    Ok(Costs {
        cpu,
        kilobytes: f64::from(u32::try_from(bytes)?) / 1e3 / took,
        puts: f64::from(puts) / took,
    })
}

/// Bytes of a write; `None` for a deletion.
fn size(change: &KeyChange) -> Option<usize> {
    let now = change.now.as_ref()?;
    Some(change.key.len() + now.value.len())
}

fn median(costs: &[Costs], of: impl Fn(&Costs) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
