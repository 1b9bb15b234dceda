//! Jobs that ask to run again at once, fail at once, and write all they may: the store stays small and readable.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use leasehold_lock::{ConnectOptions, LeaseId, Locks, Token};
use leasehold_records::fixtures::run_record;
use leasehold_records::{Outcome, Root, RunKey, RunRecord, UnixMs};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{Config, Job, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::suite::read_history;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::typed_job;
use serde_json::Value;

use crate::SLACK;
use crate::neighbour::Neighbour;

/// Runs of each hostile job to wait for: an unbounded one made as many in a tenth of a second.
const RUNS: usize = 60;
/// Bytes of the largest record of a run.
const LARGEST: usize = 36 << 10;

/// A typed job that writes a message of 7 KiB twice and ends by `end`, which is stored at 512.
fn loud(end: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(import "leasehold:job/log@1.0.0" (instance $log
        (type $level' (enum "trace" "debug" "info" "warn" "error"))
        (export "level" (type $level (eq $level')))
        (export "emit" (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
    (core module $libc (memory (export "memory") 2))
    (core instance $libc (instantiate $libc))
    (core func $emit (canon lower (func $log "emit") (memory $libc "memory")))
    (core module $m
        (import "libc" "memory" (memory 2))
        (import "host" "emit" (func $emit (param i32 i32 i32 i32 i32)))
        (func $say (call $emit (i32.const 2) (i32.const 2048) (i32.const 7168) (i32.const 0) (i32.const 0)))
        (func (export "run") (result i32)
            ;; Quotes, which JSON doubles, and an escape, which it writes as six.
            (memory.fill (i32.const 2048) (i32.const 34) (i32.const 7168))
            (memory.fill (i32.const 3000) (i32.const 27) (i32.const 1000))
            (call $say) (call $say)
            {end}
            (i32.const 512)))
    (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance (export "emit" (func $emit))))))"#
    );
    typed_job(&text, "$libc")
}

/// Runs again at once, under the same grant.
const AGAIN: &str = "(i32.store8 (i32.const 520) (i32.const 1))";
/// Fails with the message as its reason.
const RETRY: &str = "(i32.store8 (i32.const 512) (i32.const 1))
    (i32.store (i32.const 524) (i32.const 2048)) (i32.store (i32.const 528) (i32.const 7168))";

const JOBS: [(&str, &str); 2] = [("again", AGAIN), ("failing", RETRY)];

/// Adds both jobs; a failing one comes back as soon as a configuration can ask for.
fn hostile(dir: &std::path::Path, config: Config) -> Result<Config> {
    JOBS.iter().try_fold(config, |config, (name, end)| {
        let plugin = dir.join(format!("{name}.wasm"));
        std::fs::write(&plugin, loud(end)?)?;
        Ok(config.job(name, |job: Job| {
            let job = job.plugin(&plugin).restart("10ms", "10ms");
            job.limit("log_rate", 1_000_000)
        }))
    })
}

fn ends(host: &HostProcess, job: &str, count: usize) -> Result<()> {
    let mut seen = 0;
    host.wait_for(SLACK * 2, |event| {
        seen += usize::from(event.is("run-ended") && event.job() == Some(job));
        seen >= count
    })
    .map(drop)
}

/// Standard output of a command that must succeed with empty standard error.
fn shown(host: &HostProcess, args: &[&str]) -> Result<String> {
    let output = Command::new(binaries::leasehold()?)
        .args(args)
        .arg("-c")
        .arg(host.dir().join("leasehold.toml"))
        .output()
        .context("running leasehold")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && error.is_empty(),
        "{args:?} ended with {:?}: {error}",
        output.status.code()
    );
    String::from_utf8(output.stdout).context("what it printed is not UTF-8")
}

/// Fails when a job without any grant fills the store by running, with output, as often as it likes.
#[test]
fn jobs_that_run_again_at_once_cost_the_store_little() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut made = Ok(());
    let beside = Neighbour::start(|config| match hostile(dir.path(), config.clone()) {
        Ok(hostile) => hostile,
        Err(error) => {
            made = Err(error);
            config
        }
    })?;
    made?;
    let began = std::time::Instant::now();
    for (job, _) in JOBS {
        ends(&beside.host, job, RUNS)?;
    }
    for (job, _) in JOBS {
        counted(&beside, job)?;
    }
    let history = read_history(&beside.etcd, SLACK)?.context("nothing was compacted")?;
    let took = began.elapsed();
    let (mut records, mut bytes) = (0, 0);
    for change in &history.changes {
        let runs = |job: &&(&str, &str)| {
            change
                .key
                .starts_with(&format!("/leasehold/runs/{}/", job.0))
        };
        if let (true, Some((_, value))) = (JOBS.iter().any(|job| runs(&job)), &change.put) {
            records += 1;
            bytes += value.len();
            ensure!(
                value.len() <= LARGEST,
                "{} bytes: {}",
                value.len(),
                change.key
            );
        }
    }
    println!("{records} records of runs, {bytes} bytes in {took:?}");
    // Ten records of each at once, and then one in ten seconds, perhaps of two outcomes.
    let seconds = usize::try_from(took.as_secs())?;
    let most = JOBS.len() * (12 + 2 * (seconds / 10 + 1));
    ensure!(records <= most, "{records} records in {took:?}");
    ensure!(bytes <= most * LARGEST, "{bytes} bytes in {took:?}");
    beside.untouched().map(drop)
}

/// The records of a job count every run of it, those that wait to be written aside.
fn counted(beside: &Neighbour, job: &str) -> Result<()> {
    eventually(SLACK, "the merged runs", || {
        let runs: Vec<Value> = serde_json::from_str(&shown(
            &beside.host,
            &["runs", job, "-n", "200", "--format", "json"],
        )?)?;
        let counts = runs
            .iter()
            .map(|run| run["merged"]["runs"].as_u64().unwrap_or(1));
        let recorded: u64 = counts.sum();
        ensure!(
            recorded >= RUNS as u64 / 2,
            "{recorded} runs in {} records",
            runs.len()
        );
        ensure!(runs.len() < RUNS / 2, "{} records", runs.len());
        Ok(())
    })?;
    let table = shown(&beside.host, &["runs", job])?;
    ensure!(table.contains(" x "), "{table}");
    Ok(())
}

/// The largest possible records of two deleted jobs, twice the size of a message.
async fn fill(etcd: &Etcd) -> Result<()> {
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    for number in 1..=300 {
        let (job, token) = (format!("evil-{}", number % 2), Token::new(number));
        let record = RunRecord {
            ended_unix_ms: Some(UnixMs::new(2_000)),
            outcome: Outcome::Done,
            detail: "\u{1b}[2J".repeat(500),
            calls_admitted: 1,
            // Five times as much in JSON.
            output: "\u{1b}\u{1}\n\"".repeat(4_000),
            ..run_record(&job, "evil", number)
        };
        let key = RunKey {
            job,
            token,
            sequence: 0,
        };
        let key = Root::default().run(&key);
        locks
            .kv()
            .put(&key, &record.to_json(), LeaseId::NONE)
            .await?;
    }
    locks.close().await;
    Ok(())
}

/// Fails when records of some jobs hide those of all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_two_jobs_hide_nothing_of_the_others() -> Result<()> {
    let beside = tokio::task::spawn_blocking(|| Neighbour::start(|config| config)).await??;
    fill(&beside.etcd).await?;
    tokio::task::spawn_blocking(move || {
        let runs = shown(&beside.host, &["runs", "-n", "500"])?;
        ensure!(
            runs.contains("ledger") && runs.contains("evil-1"),
            "{runs:.2000}"
        );
        ensure!(!runs.contains('\u{1b}'), "an escape reached the terminal");
        let own = shown(&beside.host, &["runs", "ledger"])?;
        ensure!(own.contains("running") && !own.contains("evil"), "{own}");
        let status = shown(&beside.host, &["status"])?;
        ensure!(status.contains("ledger@host-a"), "{status}");
        let top = shown(&beside.host, &["top", "--once"])?;
        ensure!(top.contains("ledger"), "{top}");
        beside.untouched().map(drop)
    })
    .await?
}

/// Both jobs on the embedded store, whose history is bounded as well.
#[test]
fn a_hostile_history_is_bounded_by_bytes() -> Result<()> {
    let etcd = Etcd::start(Version::Embedded)?;
    let dir = tempfile::tempdir()?;
    let config = hostile(dir.path(), config_for("host-a", &etcd))?;
    let mut host = HostProcess::start(&config)?;
    for (job, _) in JOBS {
        ends(&host, job, RUNS)?;
    }
    host.term()?;
    ensure!(
        host.wait_exit(SLACK)?.code() == Some(0),
        "{}",
        host.stderr()
    );
    for (job, _) in JOBS {
        let keys = etcd.queue(&format!("/leasehold/runs/{job}/"))?;
        ensure!(keys.len() <= 40, "{} records of {job}", keys.len());
    }
    Ok(())
}
