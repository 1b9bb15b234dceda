//! Outages of the store: logged once, ended at once, and not kept in status and records.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::scene::{PULSE, SLACK, TTL, at, is, next, ns, runs, since};

on_every_store!(
    a_job_waiting_for_the_store_starts_once_it_is_back,
    an_outage_shorter_than_the_lease_is_two_events_and_no_loss,
);

/// A job that fails for a reason of its own.
const BROKEN: &str = "broken";

/// A job that keeps running and one that always fails; after a failure each pauses for 20 s at least.
fn patient(endpoint: &str, ttl: Duration) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    let ttl = format!("{}s", ttl.as_secs());
    let job = |job: guests::Job| job.plugin(&heartbeat).ttl(&ttl).restart("40s", "60s");
    Ok(config("a", endpoint)
        .grace("300ms")
        .store("request_timeout", "1s")
        .job(PULSE, |pulse| job(pulse).args(&["0", "40"]))
        .job(BROKEN, |broken| job(broken).args(&["no number"])))
}

fn outages(host: &HostProcess) -> Vec<String> {
    let events = host.events().into_iter();
    let of_store = events.filter(|event| event.is("store-lost") || event.is("store-back"));
    of_store.map(|event| event.name().to_owned()).collect()
}

fn record(etcd: &Etcd, job: &str) -> Result<Value> {
    let text = etcd.etcdctl(&[
        "get",
        "--print-value-only",
        &format!("/leasehold/jobs/{job}/a"),
    ])?;
    serde_json::from_str(&text).with_context(|| format!("reading {text:?}"))
}

/// End of the pause that `backoff` announces.
fn over(backoff: &Event) -> Result<u64> {
    let delay = backoff
        .u64("delay_ms")
        .context("a pause without a length")?;
    Ok(at(backoff)? + ns(Duration::from_millis(delay)))
}

fn a_job_waiting_for_the_store_starts_once_it_is_back(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&patient(&etcd.endpoint(), TTL)?)?;
    let first = runs(&host, 0, PULSE)?;
    let broken = next(&host, 0, BROKEN, "backoff")?;
    let mark = host.mark();
    etcd.pause()?;
    host.wait_after(mark, SLACK, |event| event.is("store-lost"))?;
    let backoff = next(&host, mark, PULSE, "backoff")?;
    let reason = backoff.reason().unwrap_or_default();
    for said in ["the store did not answer", "no reply within"] {
        ensure!(reason.matches(said).count() <= 1, "said twice: {reason}");
    }
    let mark = host.mark();
    etcd.resume()?;
    host.wait_after(mark, SLACK, |event| event.is("store-back"))?;
    let again = runs(&host, mark, PULSE)?;
    ensure!(
        at(&again)? < over(&backoff)?,
        "{again} sat out the pause of {backoff}, though the store was back"
    );
    ensure!(again.token() > first.token(), "{again} after {first}");
    eventually(SLACK, "what is written of the job is true now", || {
        let now = record(&etcd, PULSE)?;
        ensure!(now["state"] == "running", "{now}");
        ensure!(
            now["detail"].as_str().unwrap_or_default().is_empty(),
            "{now}"
        );
        Ok(())
    })?;
    // A pause for another reason continues.
    let early = since(&host, mark, BROKEN, "acquired");
    let early = early.iter().find(|event| {
        let at = event.boot_ns().unwrap_or_default();
        over(&broken).is_ok_and(|over| at < over)
    });
    ensure!(early.is_none(), "{early:?} though {broken} was not over");
    ensure!(
        outages(&host) == ["store-lost", "store-back"],
        "{:?}",
        outages(&host)
    );
    Ok(())
}

fn an_outage_shorter_than_the_lease_is_two_events_and_no_loss(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let long = Duration::from_mins(1);
    let host = HostProcess::start(&patient(&etcd.endpoint(), long)?)?;
    let first = runs(&host, 0, PULSE)?;
    let mark = host.mark();
    etcd.pause()?;
    host.wait_after(mark, SLACK, |event| event.is("store-lost"))?;
    etcd.resume()?;
    let back = host.wait_after(mark, SLACK, |event| event.is("store-back"))?;
    host.wait_after(mark, SLACK, |event| {
        is(event, PULSE, "guest") && event.run() == first.run() && event.boot_ns() > back.boot_ns()
    })
    .context("the run goes on")?;
    ensure!(
        outages(&host) == ["store-lost", "store-back"],
        "{:?}",
        outages(&host)
    );
    Ok(())
}
