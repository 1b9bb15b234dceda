//! Output of guests while they run and afterwards: followed over hosts, bounded, kept in files, and found after a crash.

mod bounds;
mod dashboard;
mod finished;
mod follow;
mod hostile;
mod kept;
mod rights;
mod triggered;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use leasehold_tests::binaries;
use leasehold_tests::etcd::Etcd;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::Process;
use leasehold_tests::tail::Tail;
use rustix::process::Signal;
use serde_json::Value;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// A host with a job that writes a line each `pause_ms`. Its lock is taken over soon after its death.
fn beater(name: &str, etcd: &Etcd, pause_ms: &str) -> Result<Config> {
    beater_for(name, etcd, pause_ms, "3s")
}

/// The same with another time to live of the lock's lease.
fn beater_for(name: &str, etcd: &Etcd, pause_ms: &str, ttl: &str) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config_for(name, etcd).grace("200ms").job("pulse", |job| {
        let job = job.plugin(&heartbeat).lock("pulse").ttl(ttl);
        job.args(&["0", pause_ms])
    }))
}

fn guest_line(host: &HostProcess, job: &str) -> Result<()> {
    let is_line =
        |event: &leasehold_tests::events::Event| event.is("guest") && event.job() == Some(job);
    host.wait_for(SLACK, is_line).map(drop)
}

/// A command that prints output, running.
struct Follower {
    process: Process,
    stdout: Tail<String>,
    stderr: Tail<String>,
}

impl Follower {
    /// Starts it with the config of a host.
    fn start(dir: &Path, args: &[&str]) -> Result<Self> {
        Self::run(dir, &[&["logs"], args].concat())
    }

    /// Starts another command with the config of a host.
    fn run(dir: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(binaries::leasehold()?);
        command.args(args);
        command.arg("-c").arg(dir.join("leasehold.toml"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn("leasehold", &mut command)?;
        let stdout = process.take_stdout().context("no standard output")?;
        let stderr = process.take_stderr().context("no standard error")?;
        Ok(Self {
            process,
            stdout: Tail::read(stdout, str::to_owned)?,
            stderr: Tail::read(stderr, str::to_owned)?,
        })
    }

    /// Waits for a line after `mark` lines.
    fn wait(&self, mark: usize, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let found = self.stdout.wait_from(mark, SLACK, |line| wanted(line));
        found.map_err(|_| {
            let last = self.stdout.all();
            let last = last[last.len().saturating_sub(20)..].join("\n");
            anyhow!(
                "no such line; the last:\n{last}\n{}",
                self.stderr.all().join("\n")
            )
        })
    }

    /// Waits for a line of JSON.
    fn wait_json(&self, mark: usize, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_default();
        let line = self.wait(mark, |line| wanted(&read(line)))?;
        Ok(read(&line))
    }

    /// All lines of JSON so far.
    fn all_json(&self) -> Result<Vec<Value>> {
        let lines = self.stdout.all();
        let read = |line: &String| serde_json::from_str(line).context("no JSON");
        lines.iter().map(read).collect()
    }

    /// Ends it as a terminal does, and waits for its end.
    fn interrupt(&mut self) -> Result<Option<i32>> {
        self.process.signal(Signal::INT)?;
        Ok(self.process.wait_exit(SLACK)?.code())
    }
}

/// Bytes of lines and gaps in lines of JSON: the length of the run's output, if nothing is missing or twice.
fn length_of(items: &[Value]) -> u64 {
    let length = |item: &Value| match item["event"].as_str() {
        Some("gap") => item["bytes"].as_u64().unwrap_or(0),
        Some(_) => 0,
        None => item["text"]
            .as_str()
            .map_or(0, |text| text.len() as u64 + 1),
    };
    items.iter().map(length).sum()
}
