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
            &["top", "--once", "-c", "leasehold.toml"],
        ] {
            let said = leasehold(&mistaken, args)?;
            ensure!(said.code == Some(0), "{mistake} {args:?}: {said:?}");
            ensure!(
                said.stdout.contains("pulse"),
                "{mistake} {args:?}: {said:?}"
            );
            let warning = "warning: leasehold.toml has errors outside of [host] and [store]; \
                           `leasehold check leasehold.toml` shows them";
            ensure!(said.stderr == warning, "{mistake} {args:?}: {said:?}");
        }
    }
    for mistake in ["[store]\nroot = \"/x/\"\n", "[host]\nidd = \"x\"\n"] {
        let said = leasehold(&config.clone().raw(mistake), &["status"])?;
        ensure!(
            said.code == Some(3) && said.stdout.is_empty(),
            "{mistake}: {said:?}"
        );
    }
    // An unknown value of a run under way is null, not zero.
    let said = leasehold(&config, &["runs", "pulse", "--format", "json"])?;
    let runs: Value = serde_json::from_str(&said.stdout)?;
    let run = runs.get(0).context("no run")?;
    ensure!(run["outcome"] == "running", "{run}");
    for unknown in ["calls_admitted", "calls_refused", "peak_memory_bytes"] {
        ensure!(run.get(unknown).is_none(), "{run}");
    }
    Ok(())
}

#[test]
fn runs_of_a_job_that_nothing_knows_is_an_error_with_the_names_there_are() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd).job("nightly", |job| job.plugin(&hello).once());
    let known = leasehold(&config, &["runs", "nightly"])?;
    ensure!(
        known.code == Some(0) && known.stderr.is_empty(),
        "{known:?}"
    );
    let said = leasehold(&config, &["runs", "nightl"])?;
    ensure!(said.code == Some(2) && said.stdout.is_empty(), "{said:?}");
    ensure!(
        said.stderr
            == "error: there is no job `nightl`\n  = help: did you mean `nightly`?\n  = help: the jobs are: nightly",
        "{said:?}"
    );
    // A record knows a job that the configuration has no more.
    let mut host = HostProcess::start(&config)?;
    crate::ends_with(&mut host, 0)?;
    let other = config_for("host-a", &etcd).job("daily", |job| job.plugin(&hello));
    let said = leasehold(&other, &["runs", "nightly"])?;
    ensure!(
        said.code == Some(0) && said.stdout.contains("nightly"),
        "{said:?}"
    );
    Ok(())
}
