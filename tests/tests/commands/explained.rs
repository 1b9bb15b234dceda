//! Descriptions of jobs for an operator: the reasons for which each runs or not, by job and by host.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use leasehold_records::{HoldMark, JobControl, UnixMs};
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;
use toml::Table;

use crate::{SLACK, first};

on_every_store!(
    each_job_is_explained_by_its_hindrance,
    records_and_orders_of_others_are_explained,
    failed_jobs_and_hosts_are_selected
);

/// Returns a configuration with a job for each hindrance.
fn hindered(id: &str, etcd: &Etcd, secret: &Path) -> Result<Config> {
    let (hello, heartbeat) = (guests::c_hello()?, guests::heartbeat()?);
    let beats = ["100000", "50"];
    let secrets: Table = toml::from_str(&format!("db = {{ file = \"{}\" }}", secret.display()))?;
    Ok(config_for(id, etcd)
        .job("beat", |job| {
            job.plugin(&heartbeat).lock("team/beat").args(&beats)
        })
        .job("other", |job| {
            job.plugin(&heartbeat).lock("team/beat").args(&beats)
        })
        .job("held", |job| job.plugin(&hello))
        .job("nightly", |job| {
            job.plugin(&hello)
                .key("cron", "0 3 * * *")
                .key("tz", "Europe/Berlin")
        })
        .job("failing", |job| {
            job.plugin(&hello).args(&["0", "4"]).restart("1h", "1h")
        })
        .job("sealed", |job| {
            job.plugin(&hello)
                .key("secrets", secrets)
                .args(&["0"])
                .restart("100ms", "200ms")
        }))
}

/// Waits until the explanation of a job has all these parts.
fn explained(config: &Config, args: &[&str], expected: &[&str]) -> Result<()> {
    let args = [&["explain"], args].concat();
    eventually(SLACK, &format!("{args:?}"), || {
        let output = leasehold(config, &args)?;
        ensure!(
            output.code == Some(0) && output.stderr.is_empty(),
            "{output:?}"
        );
        for part in expected {
            ensure!(output.stdout.contains(part), "{part}: {}", output.stdout);
        }
        Ok(())
    })
}

fn each_job_is_explained_by_its_hindrance(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    etcd.etcdctl(&[
        "put",
        "/leasehold/locks/held/maintenance",
        "disk swap, back at noon",
    ])?;
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("db");
    fs::write(&secret, "geheim")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let config = hindered("web1", &etcd, &secret)?;
    let host = HostProcess::start(&config)?;
    first(&host, "guest")?;
    fs::remove_file(&secret)?;

    let (_, holder) = running(&config)?;
    let waiter = if holder == "beat" { "other" } else { "beat" };
    explained(
        &config,
        &[&holder],
        &[
            &format!("{holder} runs; nothing hinders it."),
            "web1: runs since",
        ],
    )?;
    let blocked = format!("by {holder}@web1, which holds lock `team/beat` since");
    explained(
        &config,
        &[waiter],
        &[
            &format!("{waiter} does not run."),
            "web1: blocked for",
            &blocked,
            "alone in the queue",
        ],
    )?;
    explained(
        &config,
        &["held", "--host", "web1"],
        &["held does not run on web1.", "\"disk swap, back at noon\""],
    )?;
    explained(
        &config,
        &["nightly"],
        &[
            "next tick at",
            "03:00 Europe/Berlin (in ",
            "by cron = \"0 3 * * *\"",
        ],
    )?;
    explained(
        &config,
        &["failing"],
        &[
            "web1: backs off until",
            "then attempt 2, after: exit code 4",
        ],
    )?;
    explained(
        &config,
        &["sealed"],
        &["web1: secret db cannot be used", "stands back since"],
    )?;
    unknown_names_are_refused(&config)
}

/// Returns the status, and the job that runs under the shared lock.
fn running(config: &Config) -> Result<(Value, String)> {
    eventually(SLACK, "a running job", || {
        let output = leasehold(config, &["status", "--format", "json"])?;
        let status: Value = serde_json::from_str(&output.stdout)?;
        let jobs = status["jobs"].as_array().context("no jobs")?;
        let running = jobs
            .iter()
            .find(|job| job["lock"] == "team/beat" && job["state"] == "running");
        let running = running.context("none runs")?["job"].as_str();
        let running = running.context("no name")?.to_owned();
        Ok((status, running))
    })
}

fn unknown_names_are_refused(config: &Config) -> Result<()> {
    for args in [
        &["explain", "nightli"][..],
        &["status", "--job", "nightli"],
        &["runs", "--job", "nightli"],
        &["runs", "nightli"],
    ] {
        let output = leasehold(config, args)?;
        ensure!(
            output.code == Some(2) && output.stdout.is_empty(),
            "{args:?}: {output:?}"
        );
        let near = "error: there is no job `nightli`\n  = help: did you mean `nightly`?";
        ensure!(output.stderr.starts_with(near), "{args:?}: {output:?}");
    }
    for args in [
        &["explain", "nightly", "--host", "web2"][..],
        &["status", "--host", "web2"],
        &["runs", "--host", "web2"],
    ] {
        let output = leasehold(config, args)?;
        ensure!(output.code == Some(2), "{args:?}: {output:?}");
        let near = "error: there is no host `web2`\n  = help: did you mean `web1`?";
        ensure!(output.stderr.starts_with(near), "{args:?}: {output:?}");
    }
    Ok(())
}

/// An order that no host has seen yet, and records of a host before those fields.
fn records_and_orders_of_others_are_explained(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hello = guests::c_hello()?;
    let config = config_for("reader", &etcd).job("other", |job| job.plugin(&hello));
    let old = r#"{"job":"j","host":"a","lock":"j","state":"sleeping","since_unix_ms":3,"next_unix_ms":4}"#;
    etcd.etcdctl(&["put", "/leasehold/jobs/j/a", old])?;
    let host = r#"{"host":"a","pid":7,"version":"0.1.0","started_unix_ms":1790000000000,"jobs":["j","k"]}"#;
    etcd.etcdctl(&["put", "/leasehold/hosts/a", host])?;
    explained(&config, &["j"], &["j does not run.", "a: pauses until"])?;
    explained(
        &config,
        &["k"],
        &["a: has the job, and has recorded no state"],
    )?;
    // A host that was drained is known, though it does not live.
    etcd.etcdctl(&["put", "/leasehold/control/hosts/gone", "{}"])?;
    for args in [
        &["explain", "j", "--host", "gone"][..],
        &["status", "--host", "gone"],
        &["runs", "--host", "gone"],
    ] {
        let output = leasehold(&config, args)?;
        ensure!(output.code == Some(0), "{args:?}: {output:?}");
    }
    let control = JobControl {
        pause: Some(HoldMark {
            by: "ada@desk".into(),
            why: "disk is full".into(),
            at_unix_ms: UnixMs::new(1),
            until_unix_ms: None,
        }),
    };
    let json = String::from_utf8(control.to_json())?;
    etcd.etcdctl(&["put", "/leasehold/control/jobs/j", &json])?;
    explained(&config, &["j"], &["paused by ada@desk: \"disk is full\""])?;
    let output = leasehold(&config, &["status", "--job", "j"])?;
    ensure!(output.stdout.contains("paused"), "{output:?}");
    etcd.etcdctl(&["del", "/leasehold/hosts/a"])?;
    etcd.etcdctl(&["del", "/leasehold/jobs/j/a"])?;
    etcd.etcdctl(&["put", "/leasehold/ticks/j", "{}"])?;
    explained(&config, &["j"], &["no host is alive"])
}

fn failed_jobs_and_hosts_are_selected(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hello = guests::c_hello()?;
    let config = |id: &str, args: [&'static str; 2]| {
        config_for(id, &etcd).job(&format!("job-{id}"), |job| {
            job.plugin(&hello).args(&args).restart("1h", "1h")
        })
    };
    let (good, bad) = (config("good", ["0", "0"]), config("bad", ["0", "7"]));
    let hosts = [HostProcess::start(&good)?, HostProcess::start(&bad)?];
    for host in &hosts {
        first(host, "released")?;
    }
    let shown = |args: &[&str]| -> Result<String> {
        let output = leasehold(&good, args)?;
        ensure!(output.code == Some(0), "{args:?}: {output:?}");
        Ok(output.stdout)
    };
    for (args, there, gone) in [
        (&["status", "--failed"][..], "job-bad", "job-good"),
        (&["status", "--host", "good"], "job-good", "job-bad"),
        (&["status", "--job", "job-bad"], "job-bad", "job-good"),
        (&["runs", "--failed"], "job-bad", "job-good"),
        (&["runs", "--host", "good"], "job-good", "job-bad"),
        (
            &["runs", "--since", "1h", "--job", "job-bad"],
            "job-bad",
            "job-good",
        ),
    ] {
        eventually(SLACK, &format!("{args:?}"), || {
            let text = shown(args)?;
            ensure!(
                text.contains(there) && !text.contains(gone),
                "{args:?}: {text}"
            );
            Ok(())
        })?;
    }
    let early = shown(&["runs", "--since", "0s"])?;
    ensure!(early == "no recorded run matches", "{early}");
    let status: Value = serde_json::from_str(&shown(&["status", "--failed", "--format", "json"])?)?;
    ensure!(
        status["recent"]["job-bad"] == serde_json::json!(["exit"]),
        "{status}"
    );
    ensure!(status["explanations"][0]["job"] == "job-bad", "{status}");
    ensure!(
        status["hosts"][0]["files"].as_str().map(str::len) == Some(12),
        "{status}"
    );
    Ok(())
}
