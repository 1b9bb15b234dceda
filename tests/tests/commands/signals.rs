//! One signal stops guests in their time and gives the locks back; a second one cuts that short.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::{SLACK, ends_with, first};

on_every_store!(
    the_first_signal_waits_for_the_grace_and_the_second_does_not,
    a_guest_that_listens_ends_within_the_grace,
);

/// Sends a host one of the signals that ask it to end.
type Signal = fn(&HostProcess) -> Result<()>;

const ENTRIES: &str = "/leasehold/locks/subject/";

/// A host whose guest never listens, with this grace, running.
fn stubborn(etcd: &Etcd, grace: &str) -> Result<HostProcess> {
    let stubborn = guests::stubborn()?;
    let config = config_for("host-a", etcd)
        .grace(grace)
        .job("subject", |job| {
            job.plugin(&stubborn)
                .config("mode", "ignore-stop")
                .ttl("5s")
        });
    let host = HostProcess::start(&config)?;
    first(&host, "guest")?;
    Ok(host)
}

/// The guest has been asked to stop, and continues.
fn is_asked_in_vain(host: &HostProcess) -> Result<()> {
    host.wait_for(SLACK, |event| {
        let fields = &event.value()["fields"];
        event.is("guest") && fields[0][0] == "asked-to-stop" && fields[0][1] == "true"
    })
    .map(drop)
}

fn the_first_signal_waits_for_the_grace_and_the_second_does_not(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (term, interrupt): (Signal, Signal) = (HostProcess::term, HostProcess::interrupt);
    for signals in [[term, term], [interrupt, term], [interrupt, interrupt]] {
        let mut host = stubborn(&etcd, "10m")?;
        signals[0](&host)?;
        first(&host, "host-stopping")?;
        is_asked_in_vain(&host)?;
        signals[1](&host)?;
        let began = Instant::now();
        ends_with(&mut host, 130)?;
        println!("{version:?}: gone {:?} after the second", began.elapsed());
        let ended = first(&host, "run-ended")?;
        ensure!(ended.outcome() == Some("stopped"), "{ended}");
        first(&host, "released")?;
        ensure!(etcd.queue(ENTRIES)?.is_empty(), "the lock was left");
    }
    Ok(())
}

fn a_guest_that_listens_ends_within_the_grace(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let ledger = guests::ledger()?;
    let config = config_for("host-a", &etcd).grace("10m").job("book", |job| {
        let job = job.plugin(&ledger).config("forever", true);
        job.config("pause_ms", 10).allow_kv(&["ledger/"])
    });
    let mut host = HostProcess::start(&config)?;
    first(&host, "progress")?;
    host.term()?;
    ends_with(&mut host, 0)?;
    let ended = first(&host, "run-ended")?;
    // It recorded its end itself: it was not cut off.
    let detail = ended.str("detail").context("no detail")?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    ensure!(detail.ends_with("total 500"), "{detail}");
    // Stopped first, released then.
    let names: Vec<String> = host
        .events()
        .iter()
        .map(|event| event.name().to_owned())
        .collect();
    let at = |name: &str| names.iter().position(|other| other == name);
    ensure!(at("run-ended") < at("released") && at("released").is_some());
    Ok(())
}

#[test]
fn the_grace_ends_by_itself() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut host = stubborn(&etcd, "400ms")?;
    host.term()?;
    ends_with(&mut host, 0)?;
    is_asked_in_vain(&host)?;
    let ended = first(&host, "run-ended")?;
    ensure!(ended.outcome() == Some("stopped"), "{ended}");
    let asked = first(&host, "host-stopping")?;
    let (asked, stopped) = (asked.boot_ns(), ended.stopped_ns());
    let took = stopped.zip(asked).map(|(end, start)| end - start);
    println!("the guest was stopped after {took:?} ns");
    ensure!(took >= Some(400_000_000), "before its grace was over");
    ensure!(etcd.queue(ENTRIES)?.is_empty(), "the lock was left");
    Ok(())
}

/// Without the store no lock can be released: the lease is left to expire, and the host does not wait for that.
#[test]
fn two_signals_end_a_host_whose_store_is_away() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut host = stubborn(&etcd, "10m")?;
    etcd.pause()?;
    host.term()?;
    first(&host, "host-stopping")?;
    host.term()?;
    let began = Instant::now();
    ends_with(&mut host, 130)?;
    let took = began.elapsed();
    println!("gone {took:?} after the second signal");
    // No request to a store that is away is waited for: each would take five seconds.
    ensure!(took < Duration::from_secs(4), "{took:?}");
    etcd.resume()?;
    eventually(SLACK, "the entry to expire", || {
        ensure!(etcd.queue(ENTRIES)?.is_empty(), "it is still there");
        Ok(())
    })
}

#[test]
fn a_waiting_host_leaves_the_queue_when_it_is_stopped() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let hold = format!("{ENTRIES}maintenance");
    etcd.etcdctl(&["put", &hold, "by hand"])?;
    let heartbeat = guests::heartbeat()?;
    let config = config_for("host-a", &etcd)
        .grace("10m")
        .job("subject", |job| job.plugin(&heartbeat));
    let mut host = HostProcess::start(&config)?;
    first(&host, "waiting")?;
    host.term()?;
    ends_with(&mut host, 0)?;
    ensure!(etcd.queue(ENTRIES)? == [hold]);
    Ok(())
}
