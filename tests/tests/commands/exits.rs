//! Every documented exit code but 130 (see `signals`) and 70, which is a fault of ours.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{NO_STORE, ends_with, first};
use leasehold_tests::binaries;
use leasehold_tests::command::{finish, leasehold};

on_every_store!(
    a_once_job_decides_the_code,
    a_once_job_without_its_lock_in_time_ends_with_6,
);

/// `c-hello` once, ending with this code of its own.
fn hello(etcd: &Etcd, code: &str) -> Result<Config> {
    let hello = guests::c_hello()?;
    Ok(config_for("host-a", etcd).job("hello", |job| job.plugin(&hello).args(&["1", code]).once()))
}

fn a_once_job_decides_the_code(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut done = HostProcess::start(&hello(&etcd, "0")?)?;
    ends_with(&mut done, 0)?;
    first(&done, "job-finished")?;
    let mut failed = HostProcess::start(&hello(&etcd, "3")?)?;
    ends_with(&mut failed, 1)?;
    let told = first(&failed, "job-failed")?;
    ensure!(told.str("error") == Some("exit code 3"), "{told}");
    // The worst of several counts, and the others still ran.
    let heartbeat = guests::heartbeat()?;
    let both = hello(&etcd, "3")?.job("pulse", |job| {
        job.plugin(&heartbeat).args(&["2", "10"]).once()
    });
    let mut both = HostProcess::start(&both)?;
    ends_with(&mut both, 1)?;
    first(&both, "job-finished")?;
    for host in [&done, &failed, &both] {
        let last = host.events().pop().context("it output nothing")?;
        ensure!(last.is("host-stopped"), "{last} is the last");
        ensure!(host.stderr().is_empty(), "{}", host.stderr());
    }
    ensure!(etcd.queue("/leasehold/locks/")?.is_empty());
    Ok(())
}

fn a_once_job_without_its_lock_in_time_ends_with_6(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hold = "/leasehold/locks/hello/maintenance";
    etcd.etcdctl(&["put", hold, "by hand"])?;
    let hello = guests::c_hello()?;
    for wait in ["1s", "never"] {
        let config =
            config_for("host-a", &etcd).job("hello", |job| job.plugin(&hello).once().wait(wait));
        let mut host = HostProcess::start(&config)?;
        ends_with(&mut host, 6)?;
        let told = first(&host, "job-failed")?;
        let error = told.str("error").unwrap_or_default();
        ensure!(error.contains(hold), "who holds it is not in {told}");
        let ran = host.events().iter().any(|event| event.is("run-started"));
        ensure!(!ran, "it ran without its lock");
        ensure!(etcd.queue("/leasehold/locks/")? == [hold]);
    }
    Ok(())
}

#[test]
fn a_good_file_passes_the_check_with_0() -> Result<()> {
    let (hello, heartbeat) = (guests::c_hello()?, guests::heartbeat()?);
    let config = config("host-a", NO_STORE)
        .job("hello", |job| job.plugin(&hello))
        .job("pulse", |job| job.plugin(&heartbeat));
    let output = leasehold(&config, &["check"])?;
    ensure!(
        output.code == Some(0) && output.errors().is_empty(),
        "{output:?}"
    );
    let last = "leasehold.toml: 2 jobs are ready to run";
    ensure!(output.stdout.ends_with(last), "{output:?}");
    Ok(())
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_2() -> Result<()> {
    for args in [
        &["rnu"][..],
        &[],
        &["run", "--fast"],
        &["run", "--log-format", "xml"],
        &["status", "--format"],
        &["runs", "-n", "many"],
    ] {
        let output = leasehold(&"", args)?;
        ensure!(output.code == Some(2), "{args:?}: {output:?}");
        ensure!(output.stdout.is_empty(), "{args:?}: {output:?}");
        ensure!(output.stderr.contains("--help"), "{args:?}: {output:?}");
    }
    Ok(())
}

/// Without the name of a job and without `--all` nothing is paused: a flag's variable that is off sets nothing.
#[test]
fn flag_that_a_variable_switches_off_selects_nothing() -> Result<()> {
    for (order, variable) in [
        ("pause", "LEASEHOLD_PAUSE_ALL"),
        ("resume", "LEASEHOLD_RESUME_ALL"),
    ] {
        for off in ["false", "0", "no"] {
            let mut command = Command::new(binaries::leasehold()?);
            command.arg(order).env(variable, off);
            let output = finish(order, command)?;
            ensure!(output.code == Some(2), "{variable}={off}: {output:?}");
            ensure!(output.stderr.contains("<JOB>"), "{output:?}");
        }
    }
    Ok(())
}

#[test]
fn a_missing_file_ends_with_3_and_a_bad_plugin_with_4() -> Result<()> {
    for args in [
        &["check", "other.toml"][..],
        &["run", "-c", "other.toml"],
        &["status", "-c", "other.toml"],
        &["runs", "-c", "other.toml"],
    ] {
        let output = leasehold(&"", args)?;
        ensure!(output.code == Some(3), "{args:?}: {output:?}");
        ensure!(output.stdout.is_empty() && output.stderr.contains("other.toml"));
    }
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("bad.wasm");
    std::fs::write(&file, b"\0asm\x09\0\0\0")?;
    let config = config("host-a", NO_STORE).job("bad", |job| job.plugin(&file));
    for command in ["check", "run"] {
        let output = leasehold(&config, &[command])?;
        ensure!(
            output.code == Some(4) && output.stdout.is_empty(),
            "{output:?}"
        );
    }
    Ok(())
}

#[test]
fn readers_without_a_store_end_with_5_and_name_it() -> Result<()> {
    let hello = guests::c_hello()?;
    let config = config("host-a", NO_STORE).job("hello", |job| job.plugin(&hello));
    for command in ["status", "runs"] {
        let output = leasehold(&config, &[command])?;
        println!("{}", output.stderr);
        ensure!(
            output.code == Some(5) && output.stdout.is_empty(),
            "{output:?}"
        );
        ensure!(output.stderr.contains(NO_STORE), "{}", output.stderr);
        ensure!(output.stderr.starts_with("error: no store answered at"));
    }
    Ok(())
}
