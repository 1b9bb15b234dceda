//! Grants of jobs on a real host and a real etcd: requests, directories and secrets.
//!
//! The servers here count requests: one that was refused or too late never arrived.

mod directories;
mod requests;
mod secrets;
mod server;

use std::time::Duration;

use anyhow::Result;
use leasehold_tests::events::Event;
use leasehold_tests::host::HostProcess;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// The end of a job's first run.
fn ended(host: &HostProcess, job: &str) -> Result<Event> {
    host.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some(job)
    })
}

fn detail(ended: &Event) -> &str {
    ended.str("detail").unwrap_or_default()
}
