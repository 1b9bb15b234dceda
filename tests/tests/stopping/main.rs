//! Guests that do not stop, fail or cannot be run at all: the guest ends, the host and its other jobs continue, and
//! the record holds the reason.
//!
//! Guests do not depend on the store's version, so all of this runs on one.

mod ends;
mod flood;
mod held;
mod refused;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::command;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, Job, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use serde_json::Value;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// The longest from a reason to stop to the guest being stopped: a busy machine's, not a promise.
const STOP_BOUND: Duration = Duration::from_secs(1);

/// The other job beats ten times a second; a pause this long means that it was kept from running.
const LONGEST_PAUSE: Duration = Duration::from_millis(1_500);

/// A host with the job under test and one that beats beside it.
struct Scene {
    etcd: Etcd,
    config: Config,
    host: HostProcess,
}

impl Scene {
    /// Starts the host and waits until the other job beats. `job` becomes the job `subject`.
    fn start(job: impl FnOnce(Job) -> Job) -> Result<Self> {
        let etcd = Etcd::start(Version::V3_5)?;
        let heartbeat = guests::heartbeat()?;
        let config = config_for("host-a", &etcd)
            .grace("300ms")
            .job("pulse", |pulse| {
                // A TTL of its own gives it a lease of its own, which no scenario here revokes.
                pulse.plugin(&heartbeat).args(&["0", "100"]).ttl("12s")
            })
            .job("subject", |subject| job(subject.ttl("10s").once()));
        let host = HostProcess::start(&config)?;
        host.wait_for(SLACK, is_beat)?;
        Ok(Self { etcd, config, host })
    }

    /// The end of the subject's run.
    fn ended(&self) -> Result<Event> {
        let ended = self.host.wait_for(SLACK, |event| {
            event.is("run-ended") && event.job() == Some("subject")
        })?;
        println!("{}: {}", ended.outcome().unwrap_or("?"), detail(&ended));
        Ok(ended)
    }

    /// The record of the run with this token.
    fn record(&self, token: u64) -> Result<Value> {
        eventually(SLACK, "the record of the run's end", || {
            let output =
                command::leasehold(&self.config, &["runs", "subject", "--format", "json"])?;
            ensure!(output.code == Some(0), "{}", output.stderr);
            let runs: Vec<Value> = serde_json::from_str(&output.stdout)?;
            let run = runs.into_iter().find(|run| run["token"] == token);
            let run = run.with_context(|| format!("no run {token}"))?;
            ensure!(run["outcome"] != "running", "{run}");
            Ok(run)
        })
    }

    /// The record agrees with the event, the other job beats on and never paused, and the host still obeys.
    fn lives_on(mut self, ended: &Event, exit: i32) -> Result<()> {
        let token = ended.token().context("a run without a token")?;
        let record = self.record(token)?;
        ensure!(record["outcome"].as_str() == ended.outcome(), "{record}");
        ensure!(record["detail"].as_str().unwrap_or("") == detail(ended));
        ensure!(record["host"] == "host-a" && record["lock"] == "subject");

        let mark = self.host.mark();
        self.host.wait_after(mark, SLACK, is_beat)?;
        let beats: Vec<u64> = self
            .host
            .events()
            .iter()
            .filter(|event| is_beat(event))
            .filter_map(Event::boot_ns)
            .collect();
        let longest = beats.windows(2).map(|pair| pair[1] - pair[0]).max();
        let longest = Duration::from_nanos(longest.context("it beat once only")?);
        println!("the longest pause of the other job was {longest:?}");
        ensure!(longest <= LONGEST_PAUSE, "the other job paused {longest:?}");

        self.host.term()?;
        let code = self.host.wait_exit(SLACK)?.code();
        ensure!(code == Some(exit), "it ended with {code:?}");
        Ok(())
    }
}

fn is_beat(event: &Event) -> bool {
    event.is("guest")
        && event.job() == Some("pulse")
        && event.text().is_some_and(|text| text.starts_with("beat "))
}

fn detail(ended: &Event) -> &str {
    ended.str("detail").unwrap_or_default()
}

/// From one moment to a later one; zero when it is not later.
fn since(start_ns: u64, end_ns: Option<u64>) -> Result<Duration> {
    let end_ns = end_ns.context("a moment is missing")?;
    Ok(Duration::from_nanos(end_ns.saturating_sub(start_ns)))
}
