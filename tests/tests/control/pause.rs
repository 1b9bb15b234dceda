//! Pauses and ticks, and pauses that end by themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use anyhow::{Context, Result, bail, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::{JOB, SLACK, beating, count, end_host, host, next, order, refused};

on_every_store!(
    ticks_of_a_pause_follow_missed,
    a_pause_ends_at_its_time,
    a_host_that_starts_in_a_pause_runs_nothing,
    orders_say_what_they_did_and_what_is_unknown,
    run_that_starts_before_the_pause_is_seen_is_stopped,
);

/// The first run of a job after `mark`.
fn run_of(host: &HostProcess, mark: usize, job: &str) -> Result<Event> {
    let is_run = |event: &Event| event.is("run-started") && event.job() == Some(job);
    host.wait_after(mark, SLACK, is_run)
}

/// A nightly job does not run at noon: the tick that passed in the pause is left out, or caught up with, as the job's
/// `missed` says.
fn ticks_of_a_pause_follow_missed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let heartbeat = guests::heartbeat()?;
    let config = ["skip", "catch-up"]
        .iter()
        .fold(config_for("a", &etcd), |config, missed| {
            config.job(missed, |job| {
                let job = job.plugin(&heartbeat).ttl("2s").args(&["1", "10"]);
                job.every("4s").key("missed", *missed)
            })
        });
    let mut host = HostProcess::start(&config)?;
    for job in ["skip", "catch-up"] {
        run_of(&host, 0, job)?;
    }
    let mark = host.mark();
    order(&config, &["pause", "--all", "--why", "noon"])?;
    let mut held = 0;
    let stands_back = |event: &Event| {
        held += usize::from(event.is("standing-back"));
        held == 2
    };
    host.wait_after(mark, SLACK, stands_back)?;
    let mark = host.mark();
    order(&config, &["resume", "--all"])?;
    let resumed = host.wait_after(mark, SLACK, |event| event.is("resumed"))?;
    let resumed = resumed.str("time").context("no time")?.to_owned();
    let (skipped, caught_up) = (
        run_of(&host, mark, "skip")?,
        run_of(&host, mark, "catch-up")?,
    );
    let resumed = resumed.trim_end_matches('Z');
    let tick = |run: &Event| {
        let tick = run.str("tick").context("no tick")?;
        Ok::<_, anyhow::Error>(tick.trim_end_matches('Z').to_owned())
    };
    ensure!(
        tick(&skipped)?.as_str() > resumed,
        "{skipped} after {resumed}"
    );
    ensure!(
        tick(&caught_up)?.as_str() <= resumed,
        "{caught_up} after {resumed}"
    );
    end_host(&mut host)
}

fn a_pause_ends_at_its_time(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, |job| beating(job).once())?;
    // The job is known before any host has run.
    order(&config, &["pause", JOB, "--until", "3s"])?;
    let mut host = HostProcess::start(&config)?;
    let paused = next(&host, 0, "paused")?;
    ensure!(paused.str("until").is_some(), "{paused}");
    let resumed = next(&host, 0, "resumed")?;
    let run = next(&host, 0, "run-started")?;
    ensure!(
        run.boot_ns() > next(&host, 0, "standing-back")?.boot_ns(),
        "{run} in the pause, which ended at {resumed}"
    );
    let until = paused.str("until").unwrap_or_default().to_owned();
    ensure!(
        run.str("time") >= Some(&until[..19]),
        "{run} before {until}"
    );
    end_host(&mut host)
}

fn a_host_that_starts_in_a_pause_runs_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    order(&config, &["pause", JOB, "--why", "not now"])?;
    let mut host = HostProcess::start(&config)?;
    let held = next(&host, 0, "standing-back")?;
    let reason = held.reason().unwrap_or_default();
    ensure!(
        reason.starts_with("paused by") && reason.ends_with("not now"),
        "{held}"
    );
    ensure!(count(&host, "acquired") == 0, "it took its lock");
    let told = order(&config, &["pause", JOB])?;
    ensure!(
        told.contains("paused already") && told.contains("not now"),
        "{told}"
    );
    let told = order(&config, &["pause", JOB, "--until", "1h"])?;
    ensure!(
        told.contains("; this replaces the pause by") && told.contains(": not now"),
        "{told}"
    );
    order(&config, &["resume", JOB])?;
    next(&host, 0, "run-started")?;
    let told = order(&config, &["pause", JOB, "--stop"])?;
    ensure!(told.contains("was asked to stop"), "{told}");
    let ended = next(&host, 0, "run-ended")?;
    ensure!(ended.outcome() == Some("stopped"), "{ended}");
    end_host(&mut host)
}

fn orders_say_what_they_did_and_what_is_unknown(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    let mut host = HostProcess::start(&config)?;
    next(&host, 0, "run-started")?;
    let unknown = refused(&config, &["pause", "puls"], 2)?;
    ensure!(
        unknown.stderr.contains("did you mean `pulse`?"),
        "{unknown:?}"
    );
    let unknown = refused(&config, &["drain", "b"], 2)?;
    ensure!(
        unknown.stderr.contains("there is no host `b`"),
        "{unknown:?}"
    );
    let told = order(&config, &["resume", JOB])?;
    ensure!(told == "pulse is not paused", "{told}");
    let told = order(&config, &["undrain", "a"])?;
    ensure!(told == "a is not drained", "{told}");
    let told = order(&config, &["pause", JOB])?;
    ensure!(
        told.starts_with("pulse is paused on a: no new run starts; pulse on a (token "),
        "{told}"
    );
    let told = order(&config, &["resume", JOB])?;
    ensure!(told == "pulse is resumed; seen by a", "{told}");
    // Each is on record, with its operator.
    let deeds = etcd.etcdctl(&["get", "--prefix", "--print-value-only", "/leasehold/deeds/"])?;
    for deed in [r#""deed":"pause""#, r#""deed":"resume""#] {
        ensure!(deeds.matches(deed).count() == 1, "{deeds}");
    }
    end_host(&mut host)
}

/// Between the reading of the runs and the sight of the pause, a host may still start one.
fn run_that_starts_before_the_pause_is_seen_is_stopped(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    // A host that exists in its records alone, and so sees an order when this test does.
    let record = |holds: &str| {
        format!(
            r#"{{"job":"pulse","host":"b","lock":"pulse","state":"waiting","since_unix_ms":1,"token":null,
                "next_unix_ms":null,"last":null,"holds":[{holds}]}}"#
        )
    };
    let show = |holds: &str| etcd.etcdctl(&["put", "/leasehold/jobs/pulse/b", &record(holds)]);
    show("")?;
    let (done, told) = mpsc::channel();
    let (stopped, own) = (AtomicBool::new(false), &config);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let output = order(own, &["pause", JOB, "--stop"]);
            stopped.store(true, Ordering::Relaxed);
            let _ = done.send(output);
        });
        let paused = eventually(SLACK, "the pause", || {
            let control = "/leasehold/control/jobs/pulse";
            let value = etcd.etcdctl(&["get", "--print-value-only", control])?;
            let value: Value = serde_json::from_str(value.trim())?;
            Ok(value["pause"].clone())
        })?;
        let entry = r#"{"host":"b","job":"pulse","pid":1,"since_unix_ms":1}"#;
        etcd.etcdctl(&["put", "/leasehold/locks/pulse/1", entry])?;
        ensure!(!stopped.load(Ordering::Relaxed), "it did not wait");
        let Value::Object(mut hold) = paused else {
            bail!("no pause: {paused}");
        };
        hold.insert("kind".into(), "paused".into());
        show(&Value::Object(hold).to_string())?;
        Ok(())
    })?;
    let told = told.recv()??;
    ensure!(
        told.contains("pulse on b (token ") && told.contains("was asked to stop"),
        "{told}"
    );
    let requests = etcd.queue("/leasehold/control/stops/pulse/")?;
    ensure!(requests.len() == 1, "{requests:?}");
    Ok(())
}
