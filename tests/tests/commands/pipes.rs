//! A reader of the log that disconnects, or never reads: the host continues, and keeps its lock.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::process::Process;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::SLACK;
use leasehold_tests::command::leasehold;

const ENTRIES: &str = "/leasehold/locks/subject/";

/// The lease would end within this time without renewals.
const BEYOND_THE_TTL: Duration = Duration::from_millis(3_500);

/// A host whose standard output is a pipe that is ours to read, or not.
fn run(config: &Config) -> Result<(Process, ChildStdout, TempDir)> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("leasehold.toml");
    fs::write(&file, config.to_string())?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let mut command = Command::new(binaries::leasehold()?);
    command
        .args(["run", "--log-format", "json"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = Process::spawn("host", &mut command)?;
    let stdout = process.take_stdout().context("no standard output")?;
    Ok((process, stdout, dir))
}

/// A guest that writes as much as it can, and a host that passes all of it on.
fn flood(etcd: &Etcd) -> Result<Config> {
    let stubborn = guests::stubborn()?;
    Ok(config_for("host-a", etcd)
        .grace("100ms")
        .job("subject", |job| {
            let job = job.plugin(&stubborn).config("mode", "flood").ttl("3s");
            job.limit("log_rate", 1_000_000)
        }))
}

/// The lock stays the same grant's, renewed, past the TTL; then the host ends as it was asked to.
fn goes_on(etcd: &Etcd, config: &Config, mut host: Process) -> Result<()> {
    let key = etcd.wait_holder(ENTRIES, SLACK)?;
    std::thread::sleep(BEYOND_THE_TTL);
    ensure!(etcd.queue(ENTRIES)? == [key], "the lock changed hands");
    let said = leasehold(config, &["runs", "--format", "json"])?;
    let runs: Vec<Value> = serde_json::from_str(&said.stdout)?;
    ensure!(
        runs.len() == 1 && runs[0]["outcome"] == "running",
        "{}",
        said.stdout
    );
    host.signal(Signal::TERM)?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    ensure!(etcd.queue(ENTRIES)?.is_empty(), "the lock was left");
    let said = leasehold(config, &["runs", "--format", "json"])?;
    let runs: Vec<Value> = serde_json::from_str(&said.stdout)?;
    ensure!(runs[0]["outcome"] == "stopped", "{}", said.stdout);
    let cut = runs[0]["output_truncated_bytes"].as_u64();
    println!("{cut:?} bytes of output beyond what was kept");
    ensure!(cut > Some(1 << 20), "less than a mebibyte was written");
    Ok(())
}

#[test]
fn an_unread_log_stops_nothing() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = flood(&etcd)?;
    let (host, unread, _dir) = run(&config)?;
    goes_on(&etcd, &config, host)?;
    drop(unread);
    Ok(())
}

#[test]
fn a_log_without_a_reader_stops_nothing() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = flood(&etcd)?;
    let (host, stdout, _dir) = run(&config)?;
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    while !Event::parse(&line).is("host-started") {
        line.clear();
        ensure!(lines.read_line(&mut line)? > 0, "the log ended");
    }
    goes_on(&etcd, &config, host)
}

/// Lines dropped meanwhile are counted, and every line that arrives is whole.
#[test]
fn a_late_reader_receives_the_count_of_dropped_lines() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let (mut host, stdout, _dir) = run(&flood(&etcd)?)?;
    eventually(SLACK, "a holder", || etcd.wait_holder(ENTRIES, SLACK))?;
    std::thread::sleep(Duration::from_secs(1));
    let mut dropped = None;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let event = Event::parse(&line);
        ensure!(!event.is(leasehold_tests::events::MALFORMED), "{line}");
        if event.is("lines-dropped") {
            dropped = event.u64("count");
            break;
        }
    }
    println!("{dropped:?} lines were dropped");
    ensure!(dropped > Some(0), "nothing was said about dropped lines");
    host.kill().map(drop)
}

#[test]
fn tables_without_a_reader_end_with_0() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = flood(&etcd)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("leasehold.toml");
    fs::write(&file, config.to_string())?;
    for command in ["status", "runs", "check"] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut leasehold = Command::new(binaries::leasehold()?);
        leasehold
            .arg(command)
            .current_dir(dir.path())
            .stdout(writer);
        let mut process = Process::spawn(command, &mut leasehold)?;
        let code = process.wait_exit(SLACK)?.code();
        ensure!(code == Some(0), "{command} ended with {code:?}");
    }
    Ok(())
}
