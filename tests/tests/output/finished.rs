//! Runs that are over, or end before their host has received the request for their output.

use anyhow::{Context, Result, ensure};
use leasehold_lock::Token;
use leasehold_records::{Outcome, Root, RunKey, RunRecord, UnixMs};
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::{Follower, SLACK, beater};

on_every_store!(
    following_a_finished_run_prints_it_and_ends,
    run_that_ends_before_its_host_answers_is_printed,
    following_one_of_several_runs_under_a_token,
);

fn following_a_finished_run_prints_it_and_ends(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let heartbeat = guests::heartbeat()?;
    let config = config_for("web1", &etcd).job("short", |job| {
        let job = job.plugin(&heartbeat).lock("short").every("1h");
        job.args(&["3", "0"])
    });
    let host = HostProcess::start(&config)?;
    let token = host.wait_for(SLACK, |event| event.is("run-ended"))?.token();
    let token = token.context("no token")?.to_string();
    let mut follower = Follower::start(host.dir(), &["short", "--run", &token, "--follow"])?;
    follower.wait(0, |line| line.contains(" on web1 ended: done"))?;
    ensure!(follower.process.wait_exit(SLACK)?.code() == Some(0));
    ensure!(follower.stdout.len() == 5, "{:?}", follower.stdout.all());
    // A token that no run has is no reason to wait.
    let shown = leasehold(&config, &["logs", "short", "--run", "1", "--follow"])?;
    ensure!(shown.code == Some(2), "{shown:?}");
    ensure!(
        shown.stderr.contains("no run 1 of job `short` is recorded"),
        "{shown:?}"
    );
    Ok(())
}

/// Writes the record of a run of a host that does not run.
fn record(etcd: &Etcd, sequence: u32, outcome: Outcome) -> Result<RunRecord> {
    let json = r#"{"job":"pulse","host":"web9","lock":"pulse","token":7,"sequence":0,"attempt":1,
        "plugin_sha256":"00","started_unix_ms":1000,"outcome":"running"}"#;
    let run = RunRecord {
        token: Token::new(7),
        sequence,
        outcome,
        ended_unix_ms: (outcome != Outcome::Running).then(|| UnixMs::new(2_000)),
        output: match outcome {
            Outcome::Running => String::new(),
            _ => format!("line of run {sequence}\n"),
        },
        ..RunRecord::from_json(json.as_bytes())?
    };
    let key = Root::default().run(&RunKey {
        job: "pulse".into(),
        token: run.token,
        sequence,
    });
    let json = String::from_utf8(run.to_json())?;
    etcd.etcdctl(&["put", &key, &json])?;
    Ok(run)
}

/// Waits until a reader has requested output.
fn requested(etcd: &Etcd) -> Result<()> {
    eventually(SLACK, "a request", || {
        ensure!(!etcd.queue("/leasehold/follow/")?.is_empty());
        Ok(())
    })
}

/// Fails when the record is not read again: its host never publishes such a run.
fn run_that_ends_before_its_host_answers_is_printed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let dir = tempfile::tempdir()?;
    let config = beater("web1", &etcd, "100")?.to_string();
    std::fs::write(dir.path().join("leasehold.toml"), config)?;
    for args in [&["pulse"][..], &["pulse", "-f", "--run", "7"]] {
        record(&etcd, 0, Outcome::Running)?;
        let mut shown = Follower::start(dir.path(), args)?;
        requested(&etcd)?;
        record(&etcd, 0, Outcome::Done)?;
        shown.wait(0, |line| line == "line of run 0")?;
        ensure!(shown.process.wait_exit(SLACK)?.code() == Some(0));
        ensure!(shown.stderr.all().is_empty(), "{:?}", shown.stderr.all());
        eventually(SLACK, "no request", || {
            ensure!(etcd.queue("/leasehold/follow/")?.is_empty());
            Ok(())
        })?;
    }
    Ok(())
}

/// Fails when the end of one run under a token ends the following of another, or when another is printed.
fn following_one_of_several_runs_under_a_token(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let dir = tempfile::tempdir()?;
    let config = beater("web1", &etcd, "100")?.to_string();
    std::fs::write(dir.path().join("leasehold.toml"), config)?;
    record(&etcd, 0, Outcome::Again)?;
    record(&etcd, 1, Outcome::Running)?;
    let mut all = Follower::start(dir.path(), &["pulse", "-f", "--run", "7"])?;
    let mut second = Follower::start(dir.path(), &["pulse", "-f", "--run", "7.1"])?;
    all.wait(0, |line| line == "line of run 0")?;
    requested(&etcd)?;
    record(&etcd, 1, Outcome::Again)?;
    for follower in [&mut all, &mut second] {
        follower.wait(0, |line| line == "line of run 1")?;
        // No entry of the lock has the token: nothing follows.
        ensure!(follower.process.wait_exit(SLACK)?.code() == Some(0));
    }
    let lines = second.stdout.all();
    ensure!(
        !lines.iter().any(|line| line == "line of run 0"),
        "{lines:?}"
    );
    Ok(())
}
