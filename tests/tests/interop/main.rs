//! Our host among strangers: `etcdctl lock` of both etcd versions, keys put by hand, and keys that only look like entries.

mod holds;
mod nested;
mod queue;

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// Long enough for a wrong hand-off to happen: many times the time of one.
const A_WHILE: Duration = Duration::from_millis(400);

/// The lock's full name, for clients that know nothing of our root.
const NAME: &str = "/leasehold/locks/shared/report";

/// A host that beats under the lock until it is stopped.
fn beater(host: &str, etcd: &Etcd) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config_for(host, etcd).grace("200ms").job("report", |job| {
        job.plugin(&heartbeat)
            .lock("shared/report")
            .args(&["0", "50"])
    }))
}

/// Waits until this many keys are under the lock, and gives them, oldest first.
fn queue_of(etcd: &Etcd, count: usize) -> Result<Vec<String>> {
    eventually(SLACK, &format!("{count} entries"), || {
        let queue = etcd.queue(&format!("{NAME}/"))?;
        ensure!(queue.len() == count, "there are {queue:?}");
        Ok(queue)
    })
}

fn acquired(host: &HostProcess) -> Result<Event> {
    let acquired = host.wait_for(SLACK, |event| event.is("acquired"))?;
    // The guest really runs, under this very token.
    host.wait_for(SLACK, |event| {
        event.is("guest") && event.token() == acquired.token()
    })?;
    Ok(acquired)
}

fn has_acquired(host: &HostProcess) -> bool {
    host.events().iter().any(|event| event.is("acquired"))
}

fn end(mut host: HostProcess) -> Result<()> {
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    Ok(())
}
