//! A host whose store is not up yet logs that, keeps trying, and can be stopped as any other.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{NO_STORE, SLACK, ends_with, first};

on_every_store!(a_late_store_is_logged_and_then_used);

fn a_late_store_is_logged_and_then_used(version: Version) -> Result<()> {
    let mut etcd = Etcd::start(version)?;
    etcd.kill()?;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd).job("hello", |job| job.plugin(&hello).once());
    let mut host = HostProcess::start(&config)?;
    let trouble = first(&host, "store-trouble")?;
    let error = trouble.str("error").context("no error")?;
    println!("{error}");
    ensure!(error.contains(&etcd.endpoint()), "{error}");
    ensure!(error.contains("trying again in"), "{error}");
    // It keeps saying so.
    let mark = host.mark();
    host.wait_after(mark, SLACK, |event| event.is("store-trouble"))?;
    etcd.restart()?;
    first(&host, "store-connected")?;
    ends_with(&mut host, 0)?;
    first(&host, "job-finished").map(drop)
}

#[test]
fn a_host_without_a_store_is_stopped_with_0() -> Result<()> {
    let hello = guests::c_hello()?;
    let config = config("host-a", NO_STORE).job("hello", |job| job.plugin(&hello));
    for signal in [HostProcess::term, HostProcess::interrupt] {
        let mut host = HostProcess::start(&config)?;
        first(&host, "store-trouble")?;
        signal(&host)?;
        ends_with(&mut host, 0)?;
        let events = host.events();
        let last = events.last().context("it said nothing")?;
        ensure!(last.is("host-stopped"), "{last} is the last");
    }
    Ok(())
}
