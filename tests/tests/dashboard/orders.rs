//! An operator with `--allow-write` gives orders to hosts from the Jobs view: a job is paused with a reason, resumed and
//! run. Every order is on record, and an order without the right is refused with the prefixes to grant.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::terminal::Terminal;
use leasehold_tests::wait::eventually;
use leasehold_tests::{on_etcd, on_every_store};

use crate::{SLACK, dashboard, is_given_back};

on_every_store!(a_job_is_paused_resumed_and_run_from_the_jobs_view,);
on_etcd!(an_order_without_the_right_shows_the_prefixes_to_grant);

/// The job, and a reason.
const JOB: &str = "nightly";
const WHY: &str = "the disk is full";

/// A host with a job whose next tick is in a year; a requested run of it takes a moment.
fn sleeper(host: &str, etcd: &Etcd) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config_for(host, etcd).grace("300ms").job(JOB, |job| {
        job.plugin(&heartbeat)
            .key("cron", "0 3 1 1 *")
            .args(&["2", "20"])
    }))
}

/// Fills in a form: each text is a field, which Enter ends.
fn fill(terminal: &Terminal, key: &str, title: &str, fields: &[&str]) -> Result<()> {
    terminal.keys(&[key])?;
    terminal.shows(&[title])?;
    fields.iter().try_for_each(|text| terminal.line(text))
}

fn a_job_is_paused_resumed_and_run_from_the_jobs_view(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&sleeper("host-a", &etcd)?)?;
    let terminal = dashboard(&etcd.endpoint(), "--allow-write")?;
    terminal.keys(&["4"])?;
    terminal.shows(&["next tick at", JOB, "sleeping"])?;

    fill(&terminal, "P", "pause nightly?", &[WHY, "2h"])?;
    terminal.shows(&["nightly is paused on host-a until "])?;
    // The host follows it, and the dashboard explains it in the words of `leasehold explain`.
    host.wait_for(SLACK, |event| event.is("paused"))?;
    terminal.wait("the paused job", |screen| {
        let row = screen.row(" host-a ")?;
        ensure!(row.contains("paused"), "{row}");
        Ok(())
    })?;
    terminal.shows(&[&format!("\"{WHY}\", since"), "; it ends at"])?;

    // A paused job is not run; the refusal names the operator and the reason.
    fill(&terminal, "T", "trigger nightly?", &["now"])?;
    terminal.shows(&["! nightly is paused by olga@", WHY])?;
    ensure!(!host.has(|event| event.is("run-started")), "it ran");

    fill(&terminal, "R", "resume nightly?", &["the disk is empty"])?;
    terminal.shows(&["nightly is resumed; seen by host-a"])?;
    terminal.wait("the resumed job", |screen| {
        let row = screen.row(" host-a ")?;
        ensure!(row.contains("sleeping"), "{row}");
        Ok(())
    })?;

    let mark = host.mark();
    fill(&terminal, "T", "trigger nightly?", &["the books of June"])?;
    let ended = host.wait_after(mark, SLACK, |event| event.is("run-ended"))?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    // In the pane of runs, with its token.
    terminal.wait("the run", |screen| {
        let row = screen.row(" done ")?;
        ensure!(
            row.contains(&ended.token().unwrap_or_default().to_string()),
            "{row}"
        );
        Ok(())
    })?;

    terminal.keys(&["5"])?;
    terminal.shows(&[
        "pause of nightly: the disk is full",
        "resume of nightly: the disk is empty",
        "trigger of nightly: the books of June",
        "nightly is resumed; seen by host-a",
    ])?;
    let deeds = etcd.etcdctl(&["get", "--prefix", "--print-value-only", "/leasehold/deeds/"])?;
    for part in [
        "\"deed\":\"pause\"",
        "\"deed\":\"resume\"",
        "\"deed\":\"trigger\"",
    ] {
        ensure!(deeds.matches(part).count() == 1, "{part} in {deeds}");
    }
    terminal.keys(&["q"])?;
    is_given_back(&terminal)
}

/// A user who may read everything and write nothing.
const READER: (&str, &str) = ("reader", "reader-password");

fn an_order_without_the_right_shows_the_prefixes_to_grant(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).users().start()?;
    etcd.etcdctl(&["role", "add", "reader"])?;
    let grant = [
        "role",
        "grant-permission",
        "reader",
        "--prefix=true",
        "read",
    ];
    etcd.etcdctl(&[&grant[..], &["/leasehold/"]].concat())?;
    etcd.etcdctl(&["user", "add", &format!("{}:{}", READER.0, READER.1)])?;
    etcd.etcdctl(&["user", "grant-role", READER.0, "reader"])?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    fs::write(&file, READER.1)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let config = sleeper("host-a", &etcd)?;
    let host = HostProcess::start(&config)?;
    host.wait_for(SLACK, |event| event.is("store-connected"))?;

    let login = format!(
        "--allow-write --user {} --password-file {}",
        READER.0,
        file.display()
    );
    let terminal = dashboard(&etcd.endpoint(), &login)?;
    terminal.keys(&["4"])?;
    terminal.shows(&["next tick at"])?;
    fill(&terminal, "P", "pause nightly?", &[WHY, ""])?;
    terminal.shows(&["! the store refused the order: its user may not write it"])?;
    terminal.keys(&["5"])?;
    terminal.shows(&[" FAILED ", "/leasehold/control/"])?;
    eventually(SLACK, "no order in the store", || {
        let keys = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/leasehold/control/"])?;
        ensure!(keys.trim().is_empty(), "{keys}");
        Ok(())
    })
}
