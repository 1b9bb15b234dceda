//! Orders of operators on real hosts and stores: pauses, drains, stops, restarts and requested runs.
//!
//! Every order is given by the command line, as an operator would. Waits are for conditions; order is judged by the
//! clock that all processes share.

mod drain;
mod pause;
mod queue;
mod reloaded;
mod rights;
mod stopping;
mod trigger;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_records::RunRecord;
use leasehold_tests::command::{CommandOutput, leasehold};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, Job, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);
/// The leases' time to live.
const TTL: Duration = Duration::from_secs(2);
/// The job of most scenarios.
const JOB: &str = "pulse";

/// A host with one job, whose guest is the heartbeat.
fn host(name: &str, etcd: &Etcd, job: impl FnOnce(Job) -> Job) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    let base = |job: Job| job.plugin(&heartbeat).ttl("2s").restart("50ms", "500ms");
    // The heartbeat does not listen, so its grace time is waited for in full.
    Ok(config_for(name, etcd)
        .grace("300ms")
        .job(JOB, |own| job(base(own))))
}

/// A job that keeps running.
fn beating(job: Job) -> Job {
    job.args(&["0", "40"])
}

/// Gives an order, which must be carried out. Returns its output.
fn order(config: &Config, args: &[&str]) -> Result<String> {
    let output = leasehold(config, args)?;
    ensure!(output.code == Some(0), "{args:?}: {output:?}");
    ensure!(output.stderr.is_empty(), "{args:?}: {output:?}");
    Ok(output.stdout)
}

/// Gives an order that must end with this code. Returns its output.
fn refused(config: &Config, args: &[&str], code: i32) -> Result<CommandOutput> {
    let output = leasehold(config, args)?;
    ensure!(output.code == Some(code), "{args:?}: {output:?}");
    Ok(output)
}

/// Waits for an event of the job after `mark`.
fn next(host: &HostProcess, mark: usize, name: &str) -> Result<Event> {
    host.wait_after(mark, SLACK, |event| event.is(name))
        .with_context(|| format!("waiting for {name}"))
}

fn token(event: &Event) -> Result<u64> {
    event
        .token()
        .with_context(|| format!("no token in {event}"))
}

/// Waits until the queue of the job's lock has so many entries.
fn wait_queue(etcd: &Etcd, entries: usize) -> Result<()> {
    eventually(SLACK, &format!("{entries} entries in the queue"), || {
        let queue = etcd.queue("/leasehold/locks/pulse/")?;
        ensure!(queue.len() == entries, "it is {queue:?}");
        Ok(())
    })
}

/// The records of the job's runs.
fn runs(etcd: &Etcd) -> Result<Vec<RunRecord>> {
    let json = etcd.etcdctl(&[
        "get",
        "--prefix",
        "--print-value-only",
        "/leasehold/runs/pulse/",
    ])?;
    let lines = json.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| Ok(RunRecord::from_json(line.as_bytes())?))
        .collect()
}

/// Ends a host, which must end well.
fn end_host(host: &mut HostProcess) -> Result<()> {
    host.term()?;
    let status = host.wait_exit(SLACK)?;
    ensure!(status.code() == Some(0), "{status}: {}", host.stderr());
    Ok(())
}

/// The names of events so far, for errors.
fn count(host: &HostProcess, name: &str) -> usize {
    host.events().iter().filter(|event| event.is(name)).count()
}
