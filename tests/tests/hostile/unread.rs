//! Libraries that log for every call of a guest, and a log that is never read: no run outlives its timeout, its lock or
//! the host, and no file grows without bound.

use std::io::{PipeReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{Config, Job, config_for};
use leasehold_tests::process::Process;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::SLACK;
use crate::neighbour::Neighbour;
use crate::shown::{self, command};

/// A preview-1 command that receives from a file that is not a socket, for ever. The library behind it warns of each call.
pub(crate) const RECEIVES: &str = r#"(module
    (import "wasi_snapshot_preview1" "sock_recv"
        (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (loop
            (drop (call $recv (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 12)))
            (br 0))))"#;

/// Lines a second that a run may pass on, by default.
const RATE: usize = 200;

struct Plugin(TempDir);

impl Plugin {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("receives.wasm"), wat::parse_str(RECEIVES)?)?;
        Ok(Self(dir))
    }

    fn job(&self, job: Job) -> Job {
        job.plugin(&self.0.path().join("receives.wasm")).ttl("3s")
    }

    /// Two jobs that receive for ever, one of which has a timeout.
    fn jobs(&self, config: Config) -> Config {
        config
            .job("timed", |job| {
                self.job(job).timeout("1s").restart("1m", "1m")
            })
            .job("endless", |job| self.job(job).restart("10ms", "10ms"))
    }
}

/// A pipe that takes no byte more, and its end that is never read.
fn full_pipe() -> Result<(PipeReader, Stdio)> {
    let (reader, mut writer) = std::io::pipe()?;
    // The capacity of a pipe on Linux.
    writer.write_all(&vec![b'x'; 64 * 1024])?;
    Ok((reader, writer.into()))
}

fn lose_lock(etcd: &Etcd, job: &str) -> Result<()> {
    let prefix = format!("/leasehold/locks/{job}/");
    let key = etcd.wait_holder(&prefix, SLACK)?;
    etcd.etcdctl(&["del", &key])?;
    Ok(())
}

#[test]
fn a_standard_error_that_is_never_read_holds_up_no_end() -> Result<()> {
    let plugin = Plugin::new()?;
    let (unread, stderr) = full_pipe()?;
    let beside = Neighbour::start_with_stderr(Some(stderr), |config| plugin.jobs(config))?;
    let ended =
        |job: &'static str| move |event: &Event| event.is("run-ended") && event.job() == Some(job);
    let timed = beside.host.wait_for(SLACK, ended("timed"))?;
    ensure!(timed.outcome() == Some("timeout"), "{timed}");
    let mark = beside.host.mark();
    lose_lock(&beside.etcd, "endless")?;
    let lost = beside.host.wait_after(mark, SLACK, ended("endless"))?;
    ensure!(lost.outcome() == Some("lost"), "{lost}");
    // SIGTERM ends it with 0.
    beside.untouched()?;
    drop(unread);
    Ok(())
}

#[test]
fn output_that_is_never_read_at_all_holds_up_no_end() -> Result<()> {
    const ENTRIES: &str = "/leasehold/locks/endless/";
    let plugin = Plugin::new()?;
    let etcd = Etcd::start(Version::V3_5)?;
    let config = plugin.jobs(config_for("host-a", &etcd).grace("500ms"));
    let dir = shown::directory(&config)?;
    let (unread, stderr) = full_pipe()?;
    let (unread_too, stdout) = full_pipe()?;
    let mut host = Command::new(binaries::leasehold()?);
    host.arg("run")
        .current_dir(dir.path())
        .stdout(stdout)
        .stderr(stderr);
    let mut host = Process::spawn("host", &mut host)?;
    let first = etcd.wait_holder(ENTRIES, SLACK)?;
    eventually(SLACK, "the end of the run with a timeout", || {
        let runs = command(&config, &["runs", "timed", "--format", "json"])?;
        let runs: serde_json::Value = serde_json::from_slice(&runs.stdout)?;
        ensure!(runs[0]["outcome"] == "timeout", "{runs}");
        Ok(())
    })?;
    etcd.etcdctl(&["del", &first])?;
    eventually(SLACK, "the next run", || {
        let runs = command(&config, &["runs", "endless", "--format", "json"])?;
        let runs: serde_json::Value = serde_json::from_slice(&runs.stdout)?;
        ensure!(runs[1]["outcome"] == "lost", "{runs}");
        ensure!(runs[0]["outcome"] == "running", "{runs}");
        Ok(())
    })?;
    host.signal(Signal::TERM)?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    ensure!(etcd.queue(ENTRIES)?.is_empty(), "the lock was left");
    drop((unread, unread_too));
    Ok(())
}

#[test]
fn library_logs_for_a_guest_count_against_its_log_rate() -> Result<()> {
    let plugin = Plugin::new()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("stderr");
    let file = std::fs::File::create(&path)?;
    let beside = Neighbour::start_with_stderr(Some(file.into()), |config| {
        config.job("timed", |job| {
            plugin.job(job).timeout("3s").restart("1m", "1m")
        })
    })?;
    let began = Instant::now();
    beside.host.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some("timed")
    })?;
    let seconds = usize::try_from(began.elapsed().as_secs())? + 2;
    let events = beside.untouched()?;
    let texts = events
        .iter()
        .filter(|event| event.is("guest") && event.job() == Some("timed"))
        .filter_map(Event::text);
    let texts: Vec<&str> = texts.collect();
    let warnings = texts
        .iter()
        .filter(|text| text.contains("sock_recv"))
        .count();
    println!(
        "{warnings} warnings in about {seconds} s, standard error has {} bytes",
        path.metadata()?.len()
    );
    ensure!(
        warnings > 0 && warnings <= RATE * seconds,
        "{warnings} warnings"
    );
    let left_out = texts
        .iter()
        .any(|text| text.contains("lines left out: more than 200 a second"));
    ensure!(left_out, "nothing was left out");
    let written = std::fs::read(&path)?;
    ensure!(
        written.len() < 16 * 1024,
        "{} bytes on standard error: {}",
        written.len(),
        String::from_utf8_lossy(&written[..1024])
    );
    Ok(())
}

/// Everything that a host logs about itself while it starts a run, on standard error.
fn logged(format: &str) -> Result<String> {
    let etcd = Etcd::start(Version::V3_5)?;
    let plugin = Plugin::new()?;
    let config = config_for("host-a", &etcd).job("timed", |job| {
        plugin.job(job).timeout("1s").restart("1m", "1m")
    });
    let dir = shown::directory(&config)?;
    let path = dir.path().join("stderr");
    let mut host = Command::new(binaries::leasehold()?);
    host.args(["run", "--log-format", format])
        .env("LEASEHOLD_LOG", "debug")
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&path)?);
    let mut host = Process::spawn("host", &mut host)?;
    etcd.wait_holder("/leasehold/locks/timed/", SLACK)?;
    host.signal(Signal::TERM)?;
    host.wait_exit(SLACK)?;
    let text = String::from_utf8(std::fs::read(&path)?)?;
    ensure!(!text.is_empty(), "nothing was logged");
    ensure!(!text.contains('\u{1b}'), "colours in a file: {text}");
    Ok(text)
}

#[test]
fn diagnostics_in_a_file_have_the_logs_form_without_colours() -> Result<()> {
    logged("text")?;
    for line in logged("json")?.lines() {
        let read: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        ensure!(read["event"] == "diagnostic", "{line}");
    }
    Ok(())
}
