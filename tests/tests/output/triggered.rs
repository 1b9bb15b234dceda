//! Requested runs whose output is followed by the command that requested them.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::{Follower, SLACK};

on_every_store!(
    output_of_a_requested_run_comes_while_it_runs,
    quiet_command_prints_output_and_nothing_else,
);

/// Starts a host with a job that runs on request alone, for so many beats.
fn start(etcd: &Etcd, beats: &str) -> Result<HostProcess> {
    let heartbeat = guests::heartbeat()?;
    let config = config_for("web1", etcd).job("nightly", |job| {
        let job = job.plugin(&heartbeat).lock("nightly");
        job.key("cron", "0 3 1 1 *").args(&[beats, "100"])
    });
    let host = HostProcess::start(&config)?;
    eventually(SLACK, "the record of the job", || {
        ensure!(!etcd.queue("/leasehold/jobs/nightly/")?.is_empty());
        Ok(())
    })?;
    Ok(host)
}

/// Fails when the output is printed at the end of the run, or when a line is missing or comes twice.
fn output_of_a_requested_run_comes_while_it_runs(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = start(&etcd, "50")?;
    let mut command = Follower::run(host.dir(), &["trigger", "nightly", "--wait"])?;
    command.wait(0, |line| line.starts_with("beat 1 "))?;
    let ended = host.events().iter().any(|event| event.is("run-ended"));
    ensure!(!ended, "the first line came after the end of the run");
    ensure!(command.process.wait_exit(SLACK)?.code() == Some(0));
    ensure!(command.stdout.wait_closed(SLACK) && command.stderr.wait_closed(SLACK));
    let lines = command.stdout.all();
    let is_beat = |(at, line): (usize, &String)| line.starts_with(&format!("beat {} ", at + 1));
    ensure!(
        lines.len() == 50 && lines.iter().enumerate().all(is_beat),
        "{lines:?}"
    );
    let notes = command.stderr.all();
    ensure!(
        notes.len() == 2 && notes[1].contains("ended: done"),
        "{notes:?}"
    );
    eventually(SLACK, "no request and no chunk", || {
        ensure!(etcd.queue("/leasehold/follow/")?.is_empty());
        ensure!(etcd.queue("/leasehold/output/")?.is_empty());
        Ok(())
    })
}

/// Fails when notes are printed in spite of `--quiet`, or when output that came too fast to be followed is lost.
fn quiet_command_prints_output_and_nothing_else(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = start(&etcd, "1")?;
    let mut command = Follower::run(host.dir(), &["trigger", "nightly", "--wait", "--quiet"])?;
    ensure!(command.process.wait_exit(SLACK)?.code() == Some(0));
    ensure!(command.stdout.wait_closed(SLACK) && command.stderr.wait_closed(SLACK));
    let lines = command.stdout.all();
    ensure!(
        lines.len() == 1 && lines[0].starts_with("beat 1 "),
        "{lines:?}"
    );
    ensure!(
        command.stderr.all().is_empty(),
        "{:?}",
        command.stderr.all()
    );
    Ok(())
}
