//! Requested runs: once over all hosts, under the real lock, and never again.

use anyhow::{Context, Result, ensure};
use leasehold_records::{Outcome, RunRecord, TriggerRecord, TriggerState};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{Config, Job};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode, Trigger};
use leasehold_tests::wait::eventually;

use crate::{JOB, SLACK, beating, end_host, host, next, order, refused, runs, wait_queue};

on_every_store!(
    a_requested_run_is_made_once_over_three_hosts,
    a_request_whose_host_is_killed_is_not_run_again,
    a_claim_of_a_lost_lock_is_refused,
    a_request_is_refused_with_the_reason,
    a_requested_run_starts_a_job_in_backoff_or_ended,
);

/// A job whose next tick is a year away. Its current one is not run at the start.
fn nightly(job: Job) -> Job {
    job.key("cron", "0 3 1 1 *").args(&["2", "20"])
}

fn three(etcd: &Etcd, job: impl Fn(Job) -> Job + Copy) -> Result<(Config, Vec<HostProcess>)> {
    let mut hosts = Vec::new();
    for name in ["a", "b", "c"] {
        let started = HostProcess::start(&host(name, etcd, job)?)?;
        started.wait_for(SLACK, |event| event.is("store-connected"))?;
        hosts.push(started);
    }
    eventually(SLACK, "the records of three hosts", || {
        let keys = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/leasehold/jobs/pulse/"])?;
        ensure!(
            keys.lines().filter(|key| !key.is_empty()).count() == 3,
            "{keys}"
        );
        Ok(())
    })?;
    Ok((host("a", etcd, job)?, hosts))
}

/// The starts of runs in the logs of all hosts.
fn starts(hosts: &[HostProcess]) -> Vec<Event> {
    let events = merged(&hosts.iter().collect::<Vec<_>>());
    events
        .into_iter()
        .filter(|event| event.is("run-started"))
        .collect()
}

/// The only request in the store.
fn request(etcd: &Etcd) -> Result<TriggerRecord> {
    let json = etcd.etcdctl(&[
        "get",
        "--prefix",
        "--print-value-only",
        "/leasehold/triggers/",
    ])?;
    let line = json.lines().rfind(|line| !line.is_empty());
    Ok(TriggerRecord::from_json(
        line.context("no request")?.as_bytes(),
    )?)
}

fn a_requested_run_is_made_once_over_three_hosts(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (config, mut hosts) = three(&etcd, |job| nightly(job).config("batch", 5))?;
    let args = [
        "trigger", JOB, "--wait", "--why", "a test", "--config", "batch=7",
    ];
    let output = refused(&config, &args, 0)?;
    ensure!(output.stdout.contains("beat 2"), "{output:?}");
    ensure!(output.stderr.contains("ended: done"), "{output:?}");
    let told = order(&config, &["trigger", JOB])?;
    ensure!(told.contains("pulse"), "{told}");
    let two = eventually(SLACK, "two runs that are done", || {
        let done: Vec<RunRecord> = runs(&etcd)?;
        let is_done = done.len() == 2 && done.iter().all(|run| run.outcome == Outcome::Done);
        ensure!(is_done, "{done:?}");
        Ok(done)
    })?;
    let manual = two[0].manual.as_ref().context("no request in the record")?;
    ensure!(
        manual.why == "a test" && manual.config["batch"] == "7",
        "{manual:?}"
    );
    ensure!(two.iter().all(|run| run.tick_unix_ms.is_none()), "{two:?}");
    for host in &mut hosts {
        end_host(host)?;
    }
    let starts = starts(&hosts);
    ensure!(starts.len() == 2, "{starts:?}");
    ensure!(
        starts
            .iter()
            .all(|start| start.str("trigger") == Some("manual")),
        "{starts:?}"
    );
    // No tick was consumed.
    let ticks = etcd.etcdctl(&["get", "--prefix", "/leasehold/ticks/"])?;
    ensure!(ticks.trim().is_empty(), "{ticks}");
    Ok(())
}

fn a_request_whose_host_is_killed_is_not_run_again(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let long = |job: Job| nightly(job).args(&["0", "40"]);
    let (config, mut hosts) = three(&etcd, long)?;
    order(&config, &["trigger", JOB])?;
    let claimed = eventually(SLACK, "a claimed request", || {
        let request = request(&etcd)?;
        ensure!(
            matches!(request.state, TriggerState::Claimed { .. }),
            "{request:?}"
        );
        Ok(request)
    })?;
    let TriggerState::Claimed { runs_on, token, .. } = &claimed.state else {
        unreachable!("it is claimed");
    };
    let at = ["a", "b", "c"].iter().position(|name| name == runs_on);
    let at = at.with_context(|| format!("no host {runs_on}"))?;
    next(&hosts[at], 0, "run-started")?;
    hosts[at].kill()?;
    wait_queue(&etcd, 0)?;
    // The lock is free, and no other host takes the request. Another one is taken by another host.
    let other = ["a", "b", "c"].iter().find(|name| *name != runs_on);
    let other = other.context("no other host")?;
    eventually(SLACK, "the record of the killed host is gone", || {
        let keys = etcd.etcdctl(&[
            "get",
            "--keys-only",
            &format!("/leasehold/jobs/pulse/{runs_on}"),
        ])?;
        ensure!(keys.trim().is_empty(), "{keys}");
        Ok(())
    })?;
    ensure!(request(&etcd)? == claimed, "{:?}", request(&etcd)?);
    ensure!(starts(&hosts).len() == 1, "{:?}", starts(&hosts));
    order(&config, &["trigger", JOB, "--host", *other])?;
    eventually(SLACK, "the record of the killed run", || {
        let runs = runs(&etcd)?;
        let killed = runs.iter().find(|run| run.token == *token);
        let killed = killed.with_context(|| format!("{runs:?}"))?;
        ensure!(killed.outcome == Outcome::Abandoned, "{killed:?}");
        Ok(())
    })?;
    ensure!(starts(&hosts).len() == 2, "{:?}", starts(&hosts));
    for (number, host) in hosts.iter_mut().enumerate() {
        if number != at {
            end_host(host)?;
        }
    }
    Ok(())
}

/// The claim is on its way when its lock is lost. Fails on the mutant "a requested run is claimed without the fence".
fn a_claim_of_a_lost_lock_is_refused(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    // Longer than the claim is held.
    let config = host("a", &etcd, |job| nightly(job).ttl("20s"))?;
    let mut a = HostProcess::start(&config.clone().endpoints(&[proxy.endpoint()]))?;
    eventually(SLACK, "the record of the host", || {
        let keys = etcd.etcdctl(&["get", "--keys-only", "/leasehold/jobs/pulse/a"])?;
        ensure!(!keys.trim().is_empty(), "no record");
        Ok(())
    })?;
    // Once the lock was had and free again, it is taken by one request.
    refused(&config, &["trigger", JOB, "--wait"], 0)?;
    wait_queue(&etcd, 0)?;
    // The next request after that one is the claim, which is held until an operator has removed the entry.
    let entry = br#"{"host":"a","job":"pulse""#.to_vec();
    proxy.arm(Trigger::Contains(entry), Mode::DropRequests);
    order(&config, &["trigger", JOB])?;
    proxy.wait_fired(SLACK)?;
    wait_queue(&etcd, 1)?;
    let removed = etcd.queue("/leasehold/locks/pulse/")?.remove(0);
    let removed_at = etcd.etcdctl(&["get", "--keys-only", "-w", "json", &removed])?;
    let removed_at: serde_json::Value = serde_json::from_str(&removed_at)?;
    let removed_at = removed_at["kvs"][0]["create_revision"].as_u64();
    leasehold_tests::suite::operator_acts();
    etcd.etcdctl(&["del", &removed])?;
    proxy.set(Mode::Pass);
    let ended = eventually(SLACK, "a request whose run has ended", || {
        let request = request(&etcd)?;
        match request.state {
            TriggerState::Ended { token, outcome, .. } => Ok((token, outcome)),
            other => anyhow::bail!("{other:?}"),
        }
    })?;
    ensure!(ended.1 == Outcome::Done, "{ended:?}");
    ensure!(
        Some(ended.0.get()) > removed_at,
        "{ended:?} after {removed_at:?}"
    );
    end_host(&mut a)?;
    let starts = starts(&[a]);
    ensure!(starts.len() == 2, "{starts:?}");
    Ok(())
}

fn a_request_is_refused_with_the_reason(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, |job| nightly(job).config("batch", 5))?;
    let mut a = HostProcess::start(&config)?;
    eventually(SLACK, "the record of the host", || {
        let keys = etcd.etcdctl(&["get", "--keys-only", "/leasehold/jobs/pulse/a"])?;
        ensure!(!keys.trim().is_empty(), "no record");
        Ok(())
    })?;
    let output = refused(&config, &["trigger", JOB, "--config", "bach=7"], 2)?;
    let expected = "its config table has no key `bach`; it has: batch";
    ensure!(output.stderr.contains(expected), "{output:?}");
    let told = next(&a, 0, "trigger-refused")?;
    ensure!(told.reason() == Some(expected), "{told}");
    order(&config, &["pause", JOB, "--why", "noon"])?;
    let output = refused(&config, &["trigger", JOB], 6)?;
    ensure!(
        output.stderr.contains("is paused by") && output.stderr.contains("noon"),
        "{output:?}"
    );
    order(&config, &["resume", JOB])?;
    let output = refused(&config, &["trigger", "puls"], 2)?;
    ensure!(
        output.stderr.contains("did you mean `pulse`?"),
        "{output:?}"
    );
    end_host(&mut a)?;
    // No host has the job now; and a request that is not taken in time ends with 6.
    let output = refused(&config, &["trigger", JOB], 6)?;
    ensure!(
        output.stderr.contains("no host that runs has the job"),
        "{output:?}"
    );
    let mut b = HostProcess::start(&host("b", &etcd, beating)?)?;
    next(&b, 0, "run-started")?;
    eventually(SLACK, "the record of the run", || {
        let output = refused(&config, &["trigger", JOB], 6)?;
        ensure!(output.stderr.contains("runs already, on b"), "{output:?}");
        Ok(())
    })?;
    end_host(&mut b)
}

fn a_requested_run_starts_a_job_in_backoff_or_ended(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    // A failing job with an hour between its attempts, and one that has run once. The first keeps the host.
    let config = host("a", &etcd, |job| {
        job.args(&["nonsense"]).restart("1h", "1h")
    })?
    .job("one", |job| {
        let plugin = leasehold_tests::guests::heartbeat().unwrap_or_default();
        job.plugin(&plugin).args(&["1", "10"]).once().ttl("2s")
    });
    let mut a = HostProcess::start(&config)?;
    next(&a, 0, "backoff")?;
    next(&a, 0, "job-finished")?;
    // Its record follows the event: until then, the request is refused because the job waits for its lock.
    let requested = || refused(&config, &["trigger", "one", "--wait"], 0);
    let output = eventually(SLACK, "the record shows the end", requested)?;
    ensure!(output.stdout.contains("beat 1"), "{output:?}");
    // It fails as before, and the command with it.
    let output = refused(&config, &["trigger", JOB, "--wait"], 1)?;
    ensure!(
        output.stderr.contains("ended: exit: exit code 2"),
        "{output:?}"
    );
    end_host(&mut a)
}
