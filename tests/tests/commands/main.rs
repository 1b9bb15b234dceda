//! The command line as scripts and people use it: exit codes, signals, reports, tables, pipes, and a store that is
//! not there yet.

mod aged;
mod blocked;
mod check;
mod config;
mod diff;
mod exits;
mod explained;
mod large_records;
mod late_store;
mod loading;
mod mistaken;
mod piped;
mod pipes;
mod plugin;
mod recorded;
mod room;
mod schedule;
mod show;
mod signals;
mod standing;
mod strays;
mod threads;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::host::HostProcess;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// An address without a listener.
const NO_STORE: &str = "http://127.0.0.1:1";

/// Waits until the host has ended by itself with this code.
fn ends_with(host: &mut HostProcess, code: i32) -> Result<()> {
    let ended = host.wait_exit(SLACK)?.code();
    ensure!(
        ended == Some(code),
        "it ended with {ended:?}, not {code}; {}",
        host.stderr()
    );
    Ok(())
}

fn first(host: &HostProcess, name: &str) -> Result<Event> {
    host.wait_for(SLACK, |event| event.is(name))
}

fn reason(event: &Event) -> Result<&str> {
    event
        .reason()
        .with_context(|| format!("no reason in {event}"))
}
