//! Guests in every language, as `leasehold plugin new` begins them and the commands it prints build them:
//! they run under a lock, log, write fenced keys, and are stopped.
//!
//! All of them in one host: an engine or an interpreter is compiled once, and that takes its time.

mod manifests;
mod missing;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries::plugin;
use leasehold_tests::command;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use serde_json::Value;

/// For things that will happen, compiling an engine among them.
const SLACK: Duration = Duration::from_mins(4);

/// The longest from a lost lock to the guest being stopped: a busy machine's, not a promise.
const STOP_BOUND: Duration = Duration::from_secs(2);

/// Form of a template's job, which decides its abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It writes fenced keys, reports its progress, and is asked before it is stopped.
    Typed,
    /// It writes lines.
    Command,
}

const TEMPLATES: [(&str, Form); 5] = [
    ("count-rust", Form::Typed),
    ("count-c", Form::Typed),
    ("count-js", Form::Typed),
    ("count-python", Form::Typed),
    ("count-go", Form::Command),
];

/// More work than any run has time for.
const FOR_EVER: i64 = 1 << 50;

fn file(name: &str) -> Result<PathBuf> {
    plugin(name).context("run scripts/build-plugins --templates")
}

/// Every template twice: one that beats, and one that has begun and computes without a call to the host. And
/// plain commands, which beat too.
fn config(etcd: &Etcd) -> Result<Config> {
    let mut config = config_for("host-a", etcd).grace("2s");
    for (name, form) in TEMPLATES {
        let file = file(name)?;
        config = config.job(name, |job| {
            let job = job.plugin(&file).config("interval_ms", 100);
            if form == Form::Typed {
                job.allow_kv(&[&format!("{name}/")])
            } else {
                job
            }
        });
        let spins = format!("{name}-spins");
        config = config.job(&spins, |job| {
            let job = job
                .plugin(&file)
                .config("interval_ms", 1)
                .config("work", FOR_EVER);
            let job = job.restart("1h", "1h");
            if form == Form::Typed {
                job.allow_kv(&[&format!("{spins}/")])
            } else {
                job
            }
        });
    }
    let (heartbeat, c_hello) = (guests::heartbeat()?, guests::c_hello()?);
    Ok(config
        .job("heartbeat", |job| {
            job.plugin(&heartbeat).args(&["0", "100"])
        })
        .job("c-hello", |job| job.plugin(&c_hello).args(&["100000"])))
}

/// True for output of a guest that begins so, on standard output or in the log.
fn has_printed(event: &Event, job: &str, begin: &str) -> bool {
    let output = event.is("guest") && event.job() == Some(job);
    output && event.text().is_some_and(|text| text.starts_with(begin))
}

fn of(event: &Event, name: &str, job: &str) -> bool {
    event.is(name) && event.job() == Some(job)
}

#[test]
fn guests_in_every_language_run_log_write_and_are_stopped() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = config(&etcd)?;
    let mut host = HostProcess::start(&config)?;

    // First those that take the processors from the others.
    for (name, _) in TEMPLATES {
        let spins = format!("{name}-spins");
        is_stopped_when_it_loses_the_lock(&config, &host, &etcd, &spins)?;
    }
    for (name, form) in TEMPLATES {
        beats_under_its_lock(&host, &etcd, name, form)?;
    }
    for name in ["heartbeat", "c-hello"] {
        host.wait_for(SLACK, |event| has_printed(event, name, "beat 3"))?;
    }

    host.term()?;
    let status = host.wait_exit(SLACK)?;
    ensure!(status.code() == Some(0), "it ended with {status:?}");
    let events = host.events();
    for (name, form) in TEMPLATES {
        let ended = events.iter().rfind(|event| of(event, "run-ended", name));
        let ended = ended.with_context(|| format!("{name} never ended"))?;
        println!("{name}: {ended}");
        if form == Form::Typed {
            // Asked, it came to the end of its beat and returned.
            ensure!(ended.outcome() == Some("done"), "{ended}");
            let note = ended.str("detail").unwrap_or_default();
            ensure!(
                note.contains("beats, ") && note.ends_with(" in all"),
                "{ended}"
            );
        } else {
            ensure!(ended.outcome() != Some("done"), "{ended}");
        }
    }
    let held: HashSet<&str> = events
        .iter()
        .filter(|event| event.is("acquired"))
        .filter_map(Event::job)
        .collect();
    ensure!(held.len() == 2 * TEMPLATES.len() + 2, "{held:?}");
    ensure!(
        etcd.queue("/leasehold/locks/")?.is_empty(),
        "a lock was not given back"
    );
    Ok(())
}

/// The manifest of a template asks for no more than a dropped-in plugin may have by default.
#[test]
fn a_template_dropped_into_a_folder_runs_unchanged() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = config_for("host-a", &etcd).plugins("dir", "plugins");
    let (rust, c) = (file("count-rust")?, file("count-c")?);
    let host = HostProcess::start_in_prepared(&config, |dir| {
        let folder = dir.join("plugins");
        fs::create_dir(&folder)?;
        fs::copy(&rust, folder.join("count-rust.wasm"))?;
        fs::copy(&c, folder.join("count-c.wasm"))?;
        Ok(())
    })?;
    for name in ["dropped.count-rust", "dropped.count-c"] {
        beats_under_its_lock(&host, &etcd, name, Form::Typed)?;
    }
    Ok(())
}

/// Checks that it beats, logs its lock's token with each beat, and has its writes in the store.
fn beats_under_its_lock(host: &HostProcess, etcd: &Etcd, name: &str, form: Form) -> Result<()> {
    let beat = host.wait_for(SLACK, |event| has_printed(event, name, "beat 3"))?;
    let acquired = host.wait_for(SLACK, |event| of(event, "acquired", name))?;
    let token = acquired.token().context("acquired without a token")?;
    ensure!(beat.token() == Some(token), "{beat} under {acquired}");
    if form == Form::Command {
        let line = beat.text().unwrap_or_default();
        ensure!(line.contains(&format!("token={token} ")), "{line}");
        return Ok(());
    }
    let fields = beat.value()["fields"].to_string();
    ensure!(
        fields.contains(&token.to_string()),
        "the log line has no token: {beat}"
    );
    let counted = etcd.etcdctl(&[
        "get",
        "--print-value-only",
        &format!("/leasehold/kv/{name}/beats"),
    ])?;
    let counted: u64 = counted
        .trim()
        .parse()
        .with_context(|| format!("{name} wrote {counted:?}"))?;
    ensure!(counted >= 3, "{name} wrote {counted}");
    host.wait_for(SLACK, |event| of(event, "progress", name))?;
    // The dashboard shows this record.
    eventually(SLACK, "the progress in the job's record", || {
        let key = format!("/leasehold/jobs/{name}/host-a");
        let record = etcd.etcdctl(&["get", "--print-value-only", &key])?;
        let record: Value = serde_json::from_str(&record)?;
        let progress = &record["progress"];
        ensure!(progress["done"].as_u64() >= Some(1), "{record}");
        ensure!(progress["message"] == "beating", "{record}");
        Ok(())
    })
}

/// It has begun and computes; its entry is deleted, and it is stopped.
fn is_stopped_when_it_loses_the_lock(
    config: &Config,
    host: &HostProcess,
    etcd: &Etcd,
    name: &str,
) -> Result<()> {
    host.wait_for(SLACK, |event| has_printed(event, name, "begins"))?;
    // Out of its first call and into its work.
    std::thread::sleep(Duration::from_millis(300));
    let queue = etcd.queue(&format!("/leasehold/locks/{name}/"))?;
    let [entry] = queue.as_slice() else {
        anyhow::bail!("{name} is not alone in {queue:?}");
    };
    etcd.etcdctl(&["del", entry])?;
    let lost = host.wait_for(SLACK, |event| of(event, "lock-lost", name))?;
    let ended = host.wait_for(SLACK, |event| of(event, "run-ended", name))?;
    let (lost_ns, stopped_ns) = (
        lost.boot_ns().context("when?")?,
        ended.stopped_ns().context("when?")?,
    );
    let took = Duration::from_nanos(stopped_ns.saturating_sub(lost_ns));
    println!("{name}: stopped {took:?} after the loss was known: {ended}");
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    ensure!(took <= STOP_BOUND, "it went on for {took:?}");
    eventually(SLACK, "the record of the loss", || {
        let output = command::leasehold(config, &["runs", name, "--format", "json"])?;
        let runs: Vec<Value> = serde_json::from_str(&output.stdout)?;
        ensure!(runs.iter().any(|run| run["outcome"] == "lost"), "{runs:?}");
        Ok(())
    })
}
