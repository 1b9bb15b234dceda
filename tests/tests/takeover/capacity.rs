//! Hosts that cannot start a run, for want of a slot, a secret or a directory: they leave the lock and the tick to
//! the others, show why, and take part again when they can.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, Job, config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::typed_job;
use serde_json::Value;
use toml::Table;

use crate::scene::{SLACK, end_host, is, judge, kept_running, next, runs, since, wait_queue};

on_every_store!(
    a_full_host_leaves_the_ticks_to_an_idle_one,
    a_grant_to_a_full_host_passes_to_the_next,
    a_job_that_pauses_frees_its_slot_for_another,
    a_secret_that_one_host_lacks_burns_no_tick,
    a_directory_that_one_host_lacks_burns_no_tick,
);

const TTL: Duration = Duration::from_secs(3);
const TICK: &str = "tick";
const NO_SLOT: &str = "no free slot on this host (max_runs = 1)";

fn host(name: &str, etcd: &Etcd, most: u32) -> Config {
    config(name, &etcd.endpoint())
        .grace("300ms")
        .host("max_runs", i64::from(most))
}

/// A job that beats until it is stopped.
fn endless(job: Job) -> Result<Job> {
    let heartbeat = guests::heartbeat()?;
    Ok(kept_running(job, TTL).plugin(&heartbeat).args(&["0", "40"]))
}

/// A job that beats twice, every second.
fn ticking(job: Job) -> Result<Job> {
    let heartbeat = guests::heartbeat()?;
    let job = kept_running(job, TTL).plugin(&heartbeat);
    Ok(job.every("1s").args(&["2", "20"]))
}

/// The state of a job on a host, and the sentence about it, as `leasehold status` shows them to a program.
fn state(host: &HostProcess, id: &str, job: &str) -> Result<(String, String)> {
    let output = Command::new(binaries::leasehold()?)
        .args(["status", "--format", "json", "-c"])
        .arg(host.dir().join("leasehold.toml"))
        .output()
        .context("running leasehold status")?;
    let status: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("reading what leasehold status says: {said}")
    })?;
    let jobs = status["jobs"].as_array().context("no jobs")?;
    let found = jobs
        .iter()
        .find(|record| record["job"] == job && record["host"] == id);
    let found = found.with_context(|| format!("{job} of {id} is not in {status}"))?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((text("state"), text("detail")))
}

fn wait_state(host: &HostProcess, id: &str, job: &str, wanted: &str, why: &str) -> Result<()> {
    eventually(SLACK, &format!("{job} of {id} is {wanted}"), || {
        let (state, detail) = state(host, id, job)?;
        let is_so = state == wanted && detail.contains(why);
        ensure!(is_so, "it is {state}: {detail}");
        Ok(())
    })
}

/// Waits until this many more ticks have been run to their end on this host.
fn runs_ticks(host: &HostProcess, mark: usize, count: usize) -> Result<()> {
    let is_done = |event: &Event| is(event, TICK, "run-ended") && event.outcome() == Some("done");
    let mut seen = 0;
    let wanted = |event: &Event| {
        seen += usize::from(is_done(event));
        seen == count
    };
    host.wait_after(mark, SLACK, wanted).map(drop)
}

fn a_full_host_leaves_the_ticks_to_an_idle_one(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (beat, tick) = (endless(Job::default())?, ticking(Job::default())?);
    let full = host("full", &etcd, 1)
        .job("beat", |_| beat)
        .job(TICK, |_| tick.clone());
    let mut full = HostProcess::start(&full)?;
    let started = full.wait_for(SLACK, |event| event.is("run-started"))?;
    // The first of the two is random; the one that never ends stays.
    if started.job() == Some(TICK) {
        runs(&full, 0, "beat")?;
    }
    let told = next(&full, 0, TICK, "standing-back")?;
    ensure!(told.str("reason") == Some(NO_SLOT), "{told}");
    wait_state(&full, "full", TICK, "standing-back", NO_SLOT)?;
    let mark = full.mark();
    let idle = host("idle", &etcd, 1).job(TICK, |_| tick);
    let mut idle = HostProcess::start(&idle)?;
    runs_ticks(&idle, 0, 3)?;
    // It was logged once, and no lock was requested meanwhile.
    for name in ["standing-back", "waiting", "acquired", "run-started"] {
        let seen = since(&full, mark, TICK, name);
        ensure!(seen.is_empty(), "{seen:?}");
    }
    wait_state(&full, "full", TICK, "standing-back", NO_SLOT)?;
    end_host(&mut full)?;
    end_host(&mut idle)?;
    judge(&[&full, &idle], &Circumstances::default()).map(drop)
}

fn a_grant_to_a_full_host_passes_to_the_next(version: Version) -> Result<()> {
    const JOBS: [&str; 3] = ["one", "two", "three"];
    let etcd = Etcd::start(version)?;
    let job = endless(Job::default())?;
    let with_jobs = |id: &str, most| {
        let host = host(id, &etcd, most);
        JOBS.iter()
            .fold(host, |host, name| host.job(name, |_| job.clone()))
    };
    // All slots taken, and one job without.
    let mut first = HostProcess::start(&with_jobs("first", 2))?;
    let lacking = first.wait_for(SLACK, |event| event.is("standing-back"))?;
    let lacking = lacking.job().context("no job")?.to_owned();
    for job in JOBS.iter().filter(|job| **job != lacking) {
        runs(&first, 0, job)?;
    }
    wait_queue(&etcd, &lacking, "no entry", <[String]>::is_empty)?;
    // It runs on the second host, which then waits for both others without a slot for either.
    let mut second = HostProcess::start(&with_jobs("second", 1))?;
    let taken = second.wait_for(SLACK, |event| event.is("run-started"))?;
    ensure!(taken.job() == Some(&lacking), "{taken}");
    let mut third = HostProcess::start(&with_jobs("third", 2))?;
    for job in JOBS.iter().filter(|job| **job != lacking) {
        // The second host either waits or knows that it has no slot; the third waits for all.
        next(&third, 0, job, "waiting")?;
    }
    end_host(&mut first)?;
    for job in JOBS.iter().filter(|job| **job != lacking) {
        runs(&third, 0, job)?;
        let held = since(&second, 0, job, "run-started");
        ensure!(held.is_empty(), "{held:?}");
    }
    end_host(&mut third)?;
    end_host(&mut second)?;
    judge(&[&first, &second, &third], &Circumstances::default()).map(drop)
}

/// The core of a typed job that returns at once and asks to run again under the same grant, half a second later.
const AGAIN: &str = r#"(core module $m
        (memory (export "memory") 1)
        ;; ok, again-in, 500 ms
        (data (i32.const 520) "\01\00\00\00\00\00\00\00\f4\01")
        (func (export "run") (result i32) (i32.const 512)))
    (core instance $i (instantiate $m))"#;

fn a_job_that_pauses_frees_its_slot_for_another(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let dir = tempfile::tempdir()?;
    let again = dir.path().join("again.wasm");
    fs::write(&again, typed_job(AGAIN, "$i")?)?;
    let tick = ticking(Job::default())?;
    let config = host("a", &etcd, 1)
        .job("pausing", |job| kept_running(job, TTL).plugin(&again))
        .job(TICK, |_| tick);
    let mut host = HostProcess::start(&config)?;
    for _ in 0..2 {
        let mark = host.mark();
        let ended = next(&host, mark, "pausing", "run-ended")?;
        ensure!(ended.outcome() == Some("again"), "{ended}");
        runs_ticks(&host, mark, 1)?;
    }
    // One slot did for both: the lock was kept from run to run.
    let acquired = since(&host, 0, "pausing", "acquired");
    ensure!(acquired.len() == 1, "{acquired:?}");
    end_host(&mut host)?;
    judge(&[&host], &Circumstances::default()).map(drop)
}

/// Two hosts run the ticks; then the first lacks what `remove` takes away, until `restore` brings it back.
fn burns_no_tick(
    version: Version,
    job: impl Fn(Job, &Path) -> Job,
    remove: impl Fn(&Path) -> Result<()>,
    restore: impl Fn(&Path) -> Result<()>,
    why: &str,
) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (here, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let tick = ticking(Job::default())?;
    restore(here.path())?;
    restore(there.path())?;
    let a = host("a", &etcd, 4).job(TICK, |_| job(tick.clone(), here.path()));
    let b = host("b", &etcd, 4).job(TICK, |_| job(tick, there.path()));
    let mut a = HostProcess::start(&a)?;
    runs_ticks(&a, 0, 1)?;
    let mut b = HostProcess::start(&b)?;
    remove(here.path())?;
    let told = next(&a, 0, TICK, "standing-back")?;
    ensure!(
        told.str("reason")
            .is_some_and(|reason| reason.contains(why)),
        "{told}"
    );
    wait_state(&a, "a", TICK, "standing-back", why)?;
    let marks = (a.mark(), b.mark());
    runs_ticks(&b, marks.1, 3)?;
    let ran = since(&a, marks.0, TICK, "run-started");
    ensure!(ran.is_empty(), "{ran:?}");
    // None of them was marked by the host that could not run it.
    for skipped in since(&b, marks.1, TICK, "skipped") {
        let reason = skipped.str("reason").unwrap_or_default();
        ensure!(!reason.ends_with("run by a"), "{skipped}");
    }
    restore(here.path())?;
    eventually(SLACK, "the first host takes part again", || {
        let (state, detail) = state(&a, "a", TICK)?;
        ensure!(state != "standing-back" && detail.is_empty(), "{detail}");
        Ok(())
    })?;
    end_host(&mut b)?;
    let mark = a.mark();
    runs_ticks(&a, mark, 2)?;
    end_host(&mut a)?;
    judge(&[&a, &b], &Circumstances::default()).map(drop)
}

fn a_secret_that_one_host_lacks_burns_no_tick(version: Version) -> Result<()> {
    let with_secret = |job: Job, dir: &Path| {
        let mut file = Table::new();
        let path = dir.join("key").to_string_lossy().into_owned();
        file.insert("file".to_owned(), path.into());
        let mut secrets = Table::new();
        secrets.insert("key".to_owned(), file.into());
        job.key("secrets", secrets)
    };
    let remove = |dir: &Path| fs::remove_file(dir.join("key")).context("removing a secret");
    let restore = |dir: &Path| {
        let file = dir.join("key.new");
        fs::write(&file, "hunter2-hunter2")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        fs::rename(&file, dir.join("key")).context("writing a secret")
    };
    burns_no_tick(
        version,
        with_secret,
        remove,
        restore,
        "secret key cannot be used",
    )
}

fn a_directory_that_one_host_lacks_burns_no_tick(version: Version) -> Result<()> {
    let with_dir = |job: Job, dir: &Path| {
        let mut granted = Table::new();
        let path = dir.join("in").to_string_lossy().into_owned();
        granted.insert("host".to_owned(), path.into());
        granted.insert("guest".to_owned(), "/in".into());
        let mut allow = Table::new();
        allow.insert("dirs".to_owned(), vec![granted].into());
        job.key("allow", allow)
    };
    let remove = |dir: &Path| fs::remove_dir(dir.join("in")).context("removing a directory");
    let restore = |dir: &Path| fs::create_dir(dir.join("in")).context("making a directory");
    burns_no_tick(version, with_dir, remove, restore, "cannot be opened")
}
