//! Hosts on stores that answer nothing well, or that go back: the guest is stopped, and the checks hold.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::cluster::Cluster;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::{Event, last_lines};
use leasehold_tests::fake_etcd::{FakeEtcd, Fault, Method, Script};
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::wait::eventually;

use crate::{SLACK, one_verification};

const JOB: &str = "pulse";

/// TTL on the fake.
const SHORT: Duration = Duration::from_secs(3);

/// TTL that outlives a restart of the store.
const LONG: Duration = Duration::from_secs(8);

/// Events that an error shows.
const SHOWN: usize = 60;

/// A host that keeps a beating guest running.
fn host(endpoint: &str, ttl: Duration) -> Result<HostProcess> {
    let heartbeat = guests::heartbeat()?;
    let config: Config = guests::config("a", endpoint)
        .grace("300ms")
        .job(JOB, |job| {
            job.ttl(&format!("{}s", ttl.as_secs()))
                .restart("50ms", "500ms")
                .plugin(&heartbeat)
                .args(&["0", "40"])
        });
    HostProcess::start(&config)
}

/// Waits for an event of the job after `mark`.
fn next(host: &HostProcess, mark: usize, name: &str, within: Duration) -> Result<Event> {
    host.wait_after(mark, within, |event| {
        event.is(name) && event.job() == Some(JOB)
    })
    .with_context(|| format!("waiting for {name}"))
}

/// Requires that a run ended for want of its lock, with no call admitted at or after its deadline.
fn was_lost(ended: &Event) -> Result<()> {
    ensure!(ended.outcome() == Some("lost"), "not lost: {ended}");
    let deadline = ended.deadline_ns().context("no deadline")?;
    ensure!(
        ended.last_admitted_ns().is_none_or(|last| last < deadline),
        "a call was admitted after the deadline: {ended}"
    );
    Ok(())
}

/// Ends the host in order, and runs all checks over its events.
fn judge(mut host: HostProcess) -> Result<()> {
    host.term()?;
    let status = host.wait_exit(SLACK)?;
    ensure!(status.success(), "{status}: {}", host.stderr());
    let events = merged(&[&host]);
    checks::all(&events, &Circumstances::default())
        .map_err(|why| anyhow!("{why}\n{}", last_lines(&events, SHOWN)))
}

fn stopped_by(fault: Fault) -> Result<()> {
    let fake = FakeEtcd::start()?;
    let host = host(&fake.endpoint(), SHORT)?;
    next(&host, 0, "guest", SLACK)?;
    fake.script(|script| script.fail(&Method::ALL, fault));
    was_lost(&next(&host, 0, "run-ended", SLACK)?)?;
    let mark = host.mark();
    fake.script(Script::recover);
    next(&host, mark, "guest", SLACK)?;
    judge(host).with_context(|| format!("after {fault:?}"))
}

#[test]
fn a_guest_is_stopped_on_a_store_that_answers_nothing_well() -> Result<()> {
    std::thread::scope(|scope| {
        let faults = [
            Fault::Unavailable,
            Fault::Silent,
            Fault::Malformed,
            Fault::Oversized,
        ];
        let hosts = faults.map(|fault| scope.spawn(move || stopped_by(fault)));
        hosts.into_iter().try_for_each(|host| {
            let ended = host.join();
            ended.map_err(|_| anyhow!("a scenario panicked"))?
        })
    })
}

/// The host's entry is in the copy, and its lease with it, so only the revision shows the restore.
#[test]
fn a_store_that_went_back_stops_guests_until_tokens_rise() -> Result<()> {
    let mut cluster = Cluster::over(Etcd::start(Version::V3_5)?)?;
    let host = host(&cluster.direct(0)?, LONG)?;
    next(&host, 0, "guest", SLACK)?;
    cluster.stop(0)?;
    let copy = cluster.copy_data(0)?;
    cluster.restart(0)?;
    write_until(&mut cluster, 60)?;
    // A renewal, after which the host knows how far the store had come.
    std::thread::sleep(LONG / 2);
    let mark = host.mark();
    cluster.go_back_to(&copy)?;
    was_lost(&next(&host, mark, "run-ended", one_verification(LONG))?)?;
    let mark = host.mark();
    write_until(&mut cluster, 200)?;
    next(&host, mark, "guest", SLACK)?;
    judge(host)
}

/// Writes until the store's revision is at least this.
fn write_until(cluster: &mut Cluster, revision: u64) -> Result<()> {
    let etcd = cluster.etcd();
    eventually(SLACK, &format!("revision {revision}"), || {
        etcd.etcdctl(&["put", "/cluster/hosts/x", "x"])?;
        let now = etcd.revision()?;
        ensure!(now >= revision, "it is {now}");
        Ok(())
    })
}
