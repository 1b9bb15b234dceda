//! `status` and `runs`, as tables and as JSON, against a live host and after its end.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::{SLACK, ends_with, first};
use leasehold_tests::command::leasehold;

on_every_store!(
    a_live_host_is_shown_and_an_ended_one_is_not,
    a_config_with_a_deleted_plugin_still_serves_readers,
);

fn shown(config: &Config, args: &[&str]) -> Result<String> {
    let said = leasehold(config, args)?;
    ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
    Ok(said.stdout)
}

fn json(config: &Config, args: &[&str]) -> Result<Value> {
    let text = shown(config, &[args, &["--format", "json"]].concat())?;
    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
}

/// The cells of the first line that contains `what`.
fn row<'a>(table: &'a str, what: &str) -> Result<Vec<&'a str>> {
    let line = table.lines().find(|line| line.contains(what));
    let line = line.with_context(|| format!("no {what} in {table}"))?;
    Ok(line.split_whitespace().collect())
}

fn two_jobs(etcd: &Etcd) -> Result<Config> {
    let (hello, heartbeat) = (guests::c_hello()?, guests::heartbeat()?);
    Ok(config_for("host-a", etcd)
        .grace("100ms")
        .job("pulse", |job| {
            job.plugin(&heartbeat).lock("team/pulse").args(&["0", "50"])
        })
        .job("hello", |job| {
            job.plugin(&hello).every("300ms").args(&["1", "4"])
        }))
}

fn a_config_with_a_deleted_plugin_still_serves_readers(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let gone = Path::new("/no/such/plugin.wasm");
    let config = config_for("host-a", &etcd).job("gone", |job| job.plugin(gone));
    ensure!(shown(&config, &["runs"])? == "no runs are recorded");
    ensure!(shown(&config, &["status"])?.starts_with("no host is alive"));
    Ok(())
}

fn a_live_host_is_shown_and_an_ended_one_is_not(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = two_jobs(&etcd)?;
    ensure!(shown(&config, &["runs"])? == "no runs are recorded");
    // A job that is configured here, and that no live host has.
    let hello = shown(&config, &["status"])?;
    ensure!(hello.starts_with("no host is alive\n\nJOB"), "{hello}");
    ensure!(hello.ends_with("\n\nno lock is held"), "{hello}");
    ensure!(
        row(&hello, "hello")?.ends_with(&["no", "host", "is", "alive"]),
        "{hello}"
    );

    let mut host = HostProcess::start(&config)?;
    let beat = host.wait_for(SLACK, |event| {
        event.is("guest") && event.job() == Some("pulse")
    })?;
    let token = beat.token().context("no token")?;
    for _ in 0..3 {
        let mark = host.mark();
        host.wait_after(mark, SLACK, |event| {
            event.is("run-ended") && event.job() == Some("hello")
        })?;
    }
    status_of_a_live_host(&config, &host, token)?;
    runs_of_a_live_host(&config, token)?;

    host.term()?;
    ends_with(&mut host, 0)?;
    let status = json(&config, &["status"])?;
    ensure!(status["hosts"] == Value::Array(vec![]), "{status}");
    ensure!(status["locks"] == Value::Array(vec![]), "{status}");
    // Its records stay.
    let runs = json(&config, &["runs", "pulse"])?;
    ensure!(runs[0]["outcome"] == "stopped", "{runs}");
    ensure!(runs[0]["ended_unix_ms"].is_u64(), "{runs}");
    Ok(())
}

fn status_of_a_live_host(config: &Config, host: &HostProcess, token: u64) -> Result<()> {
    let connected = first(host, "store-connected")?;
    ensure!(connected.str("cluster_id").is_some(), "{connected}");
    let status = eventually(SLACK, "the running job", || {
        let status = json(config, &["status"])?;
        let jobs = status["jobs"].as_array().context("no jobs")?;
        let pulse = jobs.iter().find(|job| job["job"] == "pulse");
        let pulse = pulse.context("no such job")?;
        ensure!(pulse["state"] == "running" && pulse["token"] == token);
        let hello = jobs.iter().find(|job| job["job"] == "hello");
        ensure!(
            hello.is_some_and(|hello| hello["last"] == "exit"),
            "{status}"
        );
        Ok(status)
    })?;
    ensure!(status["hosts"][0]["host"] == "host-a", "{status}");
    ensure!(status["hosts"][0]["pid"] == host.pid(), "{status}");
    let locks = status["locks"].as_array().context("no locks")?;
    let held = locks.iter().find(|lock| lock["lock"] == "team/pulse");
    let entry = &held.context("the held lock is not shown")?["entries"][0];
    ensure!(
        entry["token"] == token && entry["job"] == "pulse",
        "{entry}"
    );
    let left = entry["ttl_s"].as_u64().context("no time to live")?;
    ensure!((1..=10).contains(&left), "{left}");

    let table = shown(config, &["status"])?;
    println!("{table}");
    let host_row = row(&table, "host-a")?;
    ensure!(host_row[..2] == ["host-a", &host.pid().to_string()]);
    let pulse = row(&table, "pulse ")?;
    // Its run under way is the last mark of its strip.
    ensure!(
        pulse[0] == "pulse"
            && pulse[1].ends_with(['>', '▸'])
            && pulse[2..4] == ["host-a", "running"],
        "{table}"
    );
    let lock = row(&table, "pulse@host-a")?;
    let token = token.to_string();
    ensure!(lock[..4] == ["team/pulse", "holds", "pulse@host-a", &token]);
    Ok(())
}

fn runs_of_a_live_host(config: &Config, token: u64) -> Result<()> {
    let runs = json(config, &["runs", "hello", "-n", "2"])?;
    let runs = runs.as_array().context("no list")?;
    ensure!(runs.len() == 2, "{runs:?}");
    // Newest first; each with its outcome and its output.
    ensure!(runs[0]["token"].as_u64() > runs[1]["token"].as_u64());
    let done = &runs[1];
    ensure!(
        done["outcome"] == "exit" && done["detail"] == "exit code 4",
        "{done}"
    );
    let hello = format!("hello from C token={}\n", done["token"]);
    let output = done["output"].as_str().unwrap_or_default();
    ensure!(output.starts_with(&hello), "{done}");
    ensure!(done["plugin_sha256"].as_str().map(str::len) == Some(64));

    let table = shown(config, &["runs", "pulse"])?;
    println!("{table}");
    let running = row(&table, "pulse")?;
    ensure!(running[..3] == ["pulse", &token.to_string(), "host-a"]);
    ensure!(running.contains(&"running"), "{table}");
    ensure!(table.lines().count() == 2, "{table}");
    let all = shown(config, &["runs"])?;
    ensure!(row(&all, "hello").is_ok() && row(&all, "pulse").is_ok());
    let unknown = leasehold(config, &["runs", "nobody"])?;
    ensure!(
        unknown.code == Some(2) && unknown.stderr.contains("there is no job `nobody`"),
        "{unknown:?}"
    );
    Ok(())
}
