//! Locks against Go's `concurrency` package on the same etcd, in one run, as ratios.
//!
//! `scripts/bench` runs this. Rounds alternate between the two, because machines are noisy and only
//! what ran in the same minute compares. Nothing here asserts: a slow machine is not a fault.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold_lock::{Acquire, ConnectOptions, LeaseId, Locks};
use leasehold_tests::etcd::{Etcd, Version};

/// Rounds of each measurement; the median round is shown.
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let version = if std::env::args().any(|arg| arg == "--etcd=3.5") {
        Version::V3_5
    } else {
        Version::V3_4
    };
    let etcd = Etcd::start(version)?;
    let peer = Peer::build();
    if let Err(error) = &peer {
        println!("without the Go peer: {error:#}");
    }
    let peer = peer.ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!("etcd {version:?}, its data in memory where the system has such a folder\n");
    let endpoint = etcd.endpoint();
    runtime.block_on(uncontended(&endpoint))?;
    if let Some(peer) = &peer {
        let raw = peer.run(&endpoint, &["-mode", "raw", "-n", "1000"])?;
        let acquire = peer.run(&endpoint, &["-mode", "uncontended", "-n", "1000"])?;
        println!("  Go: {}", raw.trim());
        println!("  Go: {}", acquire.trim());
    }
    println!(
        "\nhand-off, zero hold time, one connection per contender (median of {ROUNDS} rounds)"
    );
    println!("  contenders          ours                          Go               ours/Go");
    for contenders in [10, 50, 200] {
        compare(&runtime, &endpoint, contenders, peer.as_ref())?;
    }
    Ok(())
}

/// One measured round of hand-offs.
#[derive(Clone, Copy, Debug)]
struct Round {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Round {
    fn show(&self) -> String {
        format!(
            "{:6.0}/s p50 {:5.2} p99 {:6.2} ms",
            self.per_second,
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3
        )
    }
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds[rounds.len() / 2]
}

fn compare(
    runtime: &tokio::runtime::Runtime,
    endpoint: &str,
    contenders: usize,
    peer: Option<&Peer>,
) -> Result<()> {
    let cycles = 3000;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let lock = format!("/bench/handoff-{contenders}-{round}");
        ours.push(runtime.block_on(handoff(endpoint, &lock, contenders, cycles))?);
        if let Some(peer) = peer {
            theirs.push(peer.handoff(endpoint, contenders, cycles)?);
        }
    }
    let ours = median(ours);
    if theirs.is_empty() {
        println!("  {contenders:10}  {}", ours.show());
    } else {
        let theirs = median(theirs);
        println!(
            "  {contenders:10}  {}  {}  {:5.2}x",
            ours.show(),
            theirs.show(),
            ours.per_second / theirs.per_second
        );
    }
    Ok(())
}

async fn connect(endpoint: &str) -> Result<Locks> {
    Ok(Locks::connect(ConnectOptions::new([endpoint])).await?)
}

/// An uncontended acquire against a raw put, each alone on the machine for its time.
async fn uncontended(endpoint: &str) -> Result<()> {
    let endpoint = endpoint.to_owned();
    // On a worker, as a program would, and not on the thread that merely waits for the runtime.
    tokio::spawn(async move {
        let locks = connect(&endpoint).await?;
        let kv = locks.kv();
        let (mut put, mut acquire, mut release) = (Vec::new(), Vec::new(), Vec::new());
        // One right after the other, as the peer does: after a rest the processor is cold, and everything takes
        // twice as long.
        for turn in 0..1200 {
            let began = Instant::now();
            kv.put("/bench/raw", b"v", LeaseId::NONE).await?;
            let put_took = began.elapsed();
            let began = Instant::now();
            let grant = locks.acquire(Acquire::new("/bench/uncontended")).await?;
            let acquire_took = began.elapsed();
            let began = Instant::now();
            grant.release().await?;
            if turn >= 200 {
                put.push(put_took);
                acquire.push(acquire_took);
                release.push(began.elapsed());
            }
        }
        let [put, acquire, release] = [put, acquire, release].map(sorted);
        println!("uncontended (p50, p99)");
        println!("  raw put  {}", spread(&put));
        println!(
            "  acquire  {}   {:.2} x raw put",
            spread(&acquire),
            at(&acquire, 0.5).as_secs_f64() / at(&put, 0.5).as_secs_f64()
        );
        println!("  release  {}", spread(&release));
        locks.close().await;
        anyhow::Ok(())
    })
    .await?
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index into a few thousand samples"
)]
fn at(sorted: &[Duration], fraction: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * fraction) as usize]
}

fn spread(sorted: &[Duration]) -> String {
    format!("{:?}, {:?}", at(sorted, 0.5), at(sorted, 0.99))
}

/// Hands one lock around `contenders` clients and times the gaps between holders.
#[expect(clippy::cast_precision_loss, reason = "a few thousand cycles")]
async fn handoff(endpoint: &str, lock: &str, contenders: usize, cycles: usize) -> Result<Round> {
    let mut clients = Vec::new();
    for _ in 0..contenders {
        clients.push(connect(endpoint).await?);
    }
    let gaps = Arc::new(Mutex::new((Vec::new(), None::<Instant>)));
    let inside = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in &clients {
        let (client, gaps, inside) = (client.clone(), gaps.clone(), inside.clone());
        let lock = lock.to_owned();
        tasks.spawn(async move {
            for _ in 0..cycles / contenders {
                let grant = client.acquire(Acquire::new(&lock)).await?;
                let now = Instant::now();
                if inside.fetch_add(1, Ordering::SeqCst) != 0 {
                    bail!("two holders at once");
                }
                {
                    let mut shared = gaps.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(last) = shared.1 {
                        shared.0.push(now - last);
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    shared.1 = Some(Instant::now());
                }
                grant.release().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let took = began.elapsed();
    for client in clients {
        client.close().await;
    }
    let gaps = sorted(std::mem::take(
        &mut gaps.lock().unwrap_or_else(PoisonError::into_inner).0,
    ));
    Ok(Round {
        per_second: gaps.len() as f64 / took.as_secs_f64(),
        p50: at(&gaps, 0.5),
        p99: at(&gaps, 0.99),
    })
}

/// Go's `concurrency` package doing the same work.
struct Peer(PathBuf);

impl Peer {
    fn build() -> Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/go/main.go");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/setup/gobench");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(&source)
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .output()
            .context("there is no Go here: run `scripts/setup --peer`")?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr);
            bail!("the Go peer does not build, run `scripts/setup --peer`: {said}");
        }
        Ok(Self(program))
    }

    fn run(&self, endpoint: &str, args: &[&str]) -> Result<String> {
        let bare = endpoint.trim_start_matches("http://");
        let out = Command::new(&self.0)
            .args(["-endpoint", bare])
            .args(args)
            .output()?;
        if !out.status.success() {
            bail!(
                "the Go peer failed: {}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
        Ok(String::from_utf8(out.stdout)?)
    }

    fn handoff(&self, endpoint: &str, contenders: usize, cycles: usize) -> Result<Round> {
        let (contenders, cycles) = (contenders.to_string(), cycles.to_string());
        let text = self.run(
            endpoint,
            &["-mode", "handoff", "-clients", &contenders, "-n", &cycles],
        )?;
        let field = |name: &str| -> Result<String> {
            let rest = text
                .split(name)
                .nth(1)
                .context("an unknown answer of the Go peer")?;
            Ok(rest
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned())
        };
        Ok(Round {
            per_second: field("transitions=")?.trim_end_matches("/s").parse()?,
            p50: go_duration(&field("p50=")?)?,
            p99: go_duration(&field("p99=")?)?,
        })
    }
}

/// Reads `1.2ms` or `730.5µs`, as Go prints durations.
fn go_duration(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(
        text.find(|c: char| c.is_alphabetic() || c == 'µ')
            .unwrap_or(0),
    );
    let seconds = number.parse::<f64>()?
        * match unit {
            "ns" => 1e-9,
            "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            other => bail!("unknown unit {other:?}"),
        };
    Ok(Duration::from_secs_f64(seconds))
}
