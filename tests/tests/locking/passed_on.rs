//! Streams, variables, signals and the exit code of the command, as without a lock.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::wait::{eventually, unique};
use rustix::process::Signal;

use crate::{LockProcess, SLACK, lock, lock_command, read};

on_every_store!(
    exit_code_and_variables_are_the_command_s,
    signal_is_passed_on_and_the_lock_given_back_after_the_end,
);

fn exit_code_and_variables_are_the_command_s(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        let output = lock(&etcd, &["nightly", "--", "sh", "-c", script])?;
        ensure!(output.code == Some(code), "{script}: {output:?}");
        ensure!(output.stderr.is_empty(), "{script}: {output:?}");
    }
    let script = "env | grep -E '^(LEASEHOLD_(LOCK|TOKEN)|ETCD_LOCK_[A-Z]*)=' | sort";
    let output = lock(&etcd, &["a/nightly", "--", "sh", "-c", script])?;
    let lines: Vec<_> = output.stdout.lines().collect();
    let [key, revision, name, token] = lines[..] else {
        anyhow::bail!("{output:?}");
    };
    ensure!(key.starts_with("ETCD_LOCK_KEY=/leasehold/locks/a/nightly/"));
    ensure!(name == "LEASEHOLD_LOCK=a/nightly");
    let token = token.strip_prefix("LEASEHOLD_TOKEN=").context("no token")?;
    ensure!(revision.strip_prefix("ETCD_LOCK_REV=") == Some(token));
    ensure!(token.parse::<u64>()? > 0);
    Ok(())
}

/// The command may end in its own time; a signal never gives the lock away under it.
fn signal_is_passed_on_and_the_lock_given_back_after_the_end(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let script = "trap 'echo got; sleep 0.3; echo over; exit 7' TERM; trap 'echo user' USR1; echo up; while :; do sleep 0.02; done";
    let mut first = LockProcess::start(&etcd, &["nightly"], script)?;
    first.line("up")?;
    let second = LockProcess::start(&etcd, &["nightly"], "echo up; exec sleep 600")?;
    second.error("leasehold: waiting for lock nightly: held by $ env on")?;
    first.process.signal(Signal::USR1)?;
    first.line("user")?;
    first.process.signal(Signal::TERM)?;
    first.line("got")?;
    ensure!(second.stdout.is_empty(), "the second one went ahead");
    second.line("up")?;
    // It ended before the lock was given back.
    first.line("over")?;
    ensure!(first.living().is_empty());
    first.ends_with(7)
}

#[test]
fn bytes_of_all_streams_pass_untouched() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let [input, output, errors] = ["in", "out", "err"].map(|name| dir.path().join(name));
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(&input, &bytes)?;
    let mut command = lock_command(&etcd, &["nightly", "--", "sh", "-c", "tee /dev/stderr"])?;
    command
        .stdin(fs::File::open(&input)?)
        .stdout(fs::File::create(&output)?)
        .stderr(fs::File::create(&errors)?);
    ensure!(command.status()?.success());
    ensure!(fs::read(&output)? == bytes && fs::read(&errors)? == bytes);
    Ok(())
}

#[test]
fn closed_pipe_ends_the_command_as_without_a_lock() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let mut command = lock_command(&etcd, &["nightly", "--", "yes"])?;
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    // SIGPIPE, which Rust programs ignore and must not hand on.
    ensure!(child.wait()?.code() == Some(128 + 13));
    Ok(())
}

#[test]
fn command_that_cannot_be_run_has_the_code_of_shells() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("data");
    fs::write(&file, "text")?;
    let file = file.to_str().context("a path")?;
    for (program, code) in [("no-such-program", 127), (file, 126)] {
        let output = lock(&etcd, &["nightly", "--", program])?;
        ensure!(output.code == Some(code), "{output:?}");
        let error = format!("error: the command `{program}` cannot be run: ");
        ensure!(output.stderr.starts_with(&error), "{output:?}");
    }
    ensure!(etcd.queue("/leasehold/locks/")?.is_empty());
    Ok(())
}

/// A lock that was given back has no user: what the command leaves running is ended, the polite way first.
#[test]
fn background_process_is_ended_before_the_lock_is_given_back() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let note = dir.path().join("note");
    let script = format!(
        "(setsid sh -c 'trap \"echo ended > {0}; exit\" TERM; echo up > {0}; while :; do sleep 0.02; done' >/dev/null 2>&1 &)
         while ! grep -q up {0} 2>/dev/null; do sleep 0.02; done; exit 5",
        note.display()
    );
    let mut first = LockProcess::start(&etcd, &["nightly"], &script)?;
    first.ends_with(5)?;
    ensure!(first.living().is_empty());
    ensure!(read(&note)? == "ended");
    Ok(())
}

/// Signals that the caller ignores stay ignored, as under `nohup`.
#[test]
fn hangup_under_nohup_ends_nothing() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let lock = lock_command(&etcd, &["nightly", "--", "sh", "-c"])?;
    let mark = unique("command");
    let mut command = std::process::Command::new("nohup");
    command
        .env(crate::MARK, &mark)
        .arg(lock.get_program())
        .args(lock.get_args())
        .arg("echo up; while :; do sleep 0.02; done");
    let process = LockProcess::spawn(command, mark)?;
    process.line("up")?;
    process.process.signal(Signal::HUP)?;
    process.process.signal(Signal::USR1)?;
    // USR1 arrived, so HUP had its chance.
    let mut process = process;
    process.ends_with(128 + 10)?;
    eventually(SLACK, "the end of all", || {
        ensure!(process.living().is_empty());
        Ok(())
    })
}
