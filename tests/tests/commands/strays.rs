//! Signals that mean nothing to a host: they end neither it nor its runs.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use rustix::process::Signal;

use crate::{SLACK, ends_with, first};

const ENTRIES: &str = "/leasehold/locks/pulse/";

fn host(etcd: &Etcd) -> Result<HostProcess> {
    let heartbeat = guests::heartbeat()?;
    let config = config_for("host-a", etcd).grace("10m").job("pulse", |job| {
        job.plugin(&heartbeat).args(&["100000", "20"]).ttl("5s")
    });
    let host = HostProcess::start(&config)?;
    first(&host, "guest")?;
    Ok(host)
}

#[test]
fn stray_signals_are_ignored_and_logged_once() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut host = host(&etcd)?;
    let held = etcd.queue(ENTRIES)?;
    for (name, signal) in [
        ("SIGUSR1", Signal::USR1),
        ("SIGUSR2", Signal::USR2),
        ("SIGALRM", Signal::ALARM),
        ("SIGXCPU", Signal::XCPU),
    ] {
        host.signal(signal)?;
        host.wait_for(SLACK, |event| {
            event.is("signal-ignored") && event.str("signal") == Some(name)
        })?;
        host.signal(signal)?;
    }
    host.signal(Signal::PIPE)?;
    // The run continues under the same entry.
    let mark = host.mark();
    host.wait_after(mark, SLACK, |event| event.is("guest"))?;
    ensure!(etcd.queue(ENTRIES)? == held && held.len() == 1, "{held:?}");
    let events = host.events();
    let told = events.iter().filter(|event| event.is("signal-ignored"));
    ensure!(told.count() == 4, "told again");
    let runs = events.iter().filter(|event| event.is("run-started"));
    ensure!(runs.count() == 1, "it was started again");
    host.term()?;
    // The guest does not listen: SIGQUIT is for that.
    host.signal(Signal::QUIT)?;
    ends_with(&mut host, 130)
}

#[test]
fn quit_stops_guests_at_once_and_gives_the_locks_back() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut host = host(&etcd)?;
    host.signal(Signal::QUIT)?;
    ends_with(&mut host, 130)?;
    first(&host, "released")?;
    ensure!(etcd.queue(ENTRIES)?.is_empty(), "the lock was left");
    Ok(())
}
