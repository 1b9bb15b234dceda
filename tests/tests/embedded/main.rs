//! The store inside the host, by itself, and under several hosts of one process: what `embedded = true`,
//! `leasehold store serve` and `leasehold dev` promise beyond what every store does.
//!
//! The scenarios that every store plays run on it from their own files.

mod backup;
mod dev;
mod disk;
mod host;
mod serve;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::HostProcess;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// A host with a job that beats under the lock `team/pulse`; its files are in `data_dir`.
fn beater(id: &str, data_dir: &Path) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(Config::default()
        .host("id", id)
        .host("data_dir", data_dir.to_string_lossy().into_owned())
        .grace("200ms")
        .job("pulse", |job| {
            job.plugin(&heartbeat)
                .lock("team/pulse")
                .ttl("3s")
                .args(&["0", "50"])
        }))
}

/// As above, with the store in the host.
fn embedded(id: &str, data_dir: &Path) -> Result<Config> {
    Ok(beater(id, data_dir)?.store("embedded", true))
}

fn first(host: &HostProcess, name: &str) -> Result<Event> {
    host.wait_for(SLACK, |event| event.is(name))
}

/// The token of the first run that has had an effect.
fn beats(host: &HostProcess) -> Result<u64> {
    let beat = first(host, "guest")?;
    beat.token().with_context(|| format!("no token in {beat}"))
}

/// Ends it as an operator does, and expects it to log that.
fn end(mut host: HostProcess) -> Result<Vec<Event>> {
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    Ok(host.events())
}
