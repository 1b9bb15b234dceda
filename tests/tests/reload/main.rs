//! Changes while a host runs: its configuration, its plugins, and the folder that plugins are dropped into.
//!
//! A run under way continues unchanged, a new version takes effect with the next run, and an error is logged once
//! and changes nothing.

mod churn;
mod conf_d;
mod configured;
mod folder;
mod refused;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::events::Event;
use leasehold_tests::guests::{Config, config_for};
use leasehold_tests::host::HostProcess;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);
/// For things that must not happen: longer than the host looks away for.
const QUIET: Duration = Duration::from_secs(3);

/// A host on this store into whose folder `plugins` plugins can be dropped.
fn dropping(etcd: &Etcd) -> Config {
    config_for("host-a", etcd)
        .grace("500ms")
        .plugins("dir", "plugins")
}

/// Starts it, with the folder beside its configuration.
fn start(config: &Config) -> Result<HostProcess> {
    HostProcess::start_in_prepared(config, |dir| {
        std::fs::create_dir(dir.join("plugins")).context("making a folder for plugins")
    })
}

fn folder(host: &HostProcess) -> std::path::PathBuf {
    host.dir().join("plugins")
}

/// The name of the job that a file in the folder makes.
fn dropped(name: &str) -> String {
    format!("dropped.{name}")
}

/// Puts a file there as a whole, as `mv` does.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let new = folder.join(format!(".{name}.new"));
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, folder.join(name)).context("moving a file into place")
}

/// The first event of this name about this job after `mark`.
fn event_after(host: &HostProcess, mark: usize, name: &str, job: &str) -> Result<Event> {
    host.wait_after(mark, SLACK, |event| {
        event.is(name) && event.job() == Some(job)
    })
}

/// First output of a job's guest after `mark`.
fn first_output(host: &HostProcess, mark: usize, job: &str) -> Result<String> {
    let line = event_after(host, mark, "guest", job)?;
    Ok(line.text().unwrap_or_default().to_owned())
}

/// Ends it as an operator does, and expects it to log that.
fn end(mut host: HostProcess) -> Result<Vec<Event>> {
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}: {}", host.stderr());
    Ok(host.events())
}

/// Number of events of this name about this job.
fn count(events: &[Event], name: &str, job: Option<&str>) -> usize {
    let about = |event: &&Event| event.is(name) && (job.is_none() || event.job() == job);
    events.iter().filter(about).count()
}
