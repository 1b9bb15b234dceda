//! Commands that read the store alone, with configurations that have mistakes elsewhere, and with unknown names.

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use serde_json::Value;

use crate::first;
use leasehold_tests::command::leasehold;

#[test]
fn readers_of_the_store_need_no_job_without_mistakes() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let heartbeat = guests::heartbeat()?;
    let config = config_for("host-a", &etcd).job("pulse", |job| {
        job.plugin(&heartbeat).args(&["100000", "20"]).ttl("5s")
    });
    let host = HostProcess::start(&config)?;
    first(&host, "guest")?;
    for mistake in [
        "[jobs.other]\nevry = \"1s\"\n",
        "[jobs.other]\nplugin = no quotes\n",
        "[defaults]\nttl = \"1ms\"\n",
        "[plugin]\ndir = \"x\"\n",
    ] {
        let mistaken = config.clone().raw(mistake);
        for args in [
            &["status"][..],
            &["runs"],
            &["explain", "pulse"],
            &["top", "--once", "-c", "leasehold.toml"],
        ] {
            let output = leasehold(&mistaken, args)?;
            ensure!(output.code == Some(0), "{mistake} {args:?}: {output:?}");
            ensure!(
                output.stdout.contains("pulse"),
                "{mistake} {args:?}: {output:?}"
            );
            let warning = "warning: leasehold.toml has errors outside of [host] and [store]; \
                           `leasehold check leasehold.toml` shows them";
            ensure!(output.stderr == warning, "{mistake} {args:?}: {output:?}");
        }
    }
    for mistake in ["[store]\nroot = \"/x/\"\n", "[host]\nidd = \"x\"\n"] {
        let output = leasehold(&config.clone().raw(mistake), &["status"])?;
        ensure!(
            output.code == Some(3) && output.stdout.is_empty(),
            "{mistake}: {output:?}"
        );
    }
    // Unknown values of a run under way are absent, not zero.
    let output = leasehold(&config, &["runs", "pulse", "--format", "json"])?;
    let runs: Value = serde_json::from_str(&output.stdout)?;
    let run = runs.get(0).context("no run")?;
    ensure!(run["outcome"] == "running", "{run}");
    for unknown in ["calls_admitted", "calls_refused", "peak_memory_bytes"] {
        ensure!(run.get(unknown).is_none(), "{run}");
    }
    Ok(())
}

#[test]
fn runs_of_an_unknown_job_is_an_error_with_the_known_names() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd).job("nightly", |job| job.plugin(&hello).once());
    let known = leasehold(&config, &["runs", "nightly"])?;
    ensure!(
        known.code == Some(0) && known.stderr.is_empty(),
        "{known:?}"
    );
    let output = leasehold(&config, &["runs", "nightl"])?;
    ensure!(
        output.code == Some(2) && output.stdout.is_empty(),
        "{output:?}"
    );
    ensure!(
        output.stderr
            == "error: there is no job `nightl`\n  = help: did you mean `nightly`?\n  = help: the jobs are: nightly",
        "{output:?}"
    );
    // A record knows a job that the configuration has no more.
    let mut host = HostProcess::start(&config)?;
    crate::ends_with(&mut host, 0)?;
    let other = config_for("host-a", &etcd).job("daily", |job| job.plugin(&hello));
    let output = leasehold(&other, &["runs", "nightly"])?;
    ensure!(
        output.code == Some(0) && output.stdout.contains("nightly"),
        "{output:?}"
    );
    Ok(())
}
