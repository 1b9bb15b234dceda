//! A disk that fails under a running host, and comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{SLACK, embedded, end};

/// Lets no file of the process grow, or be written, beyond this many bytes; `None` lifts that.
fn limit_files(host: &HostProcess, bytes: Option<u64>) -> Result<()> {
    let pid = i32::try_from(host.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).context("limiting the size of files")?;
    Ok(())
}

#[test]
fn a_failed_disk_is_logged_and_work_continues_once_it_is_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // A limit on files sends a signal besides; a full disk does not.
    let program = dir.path().join("host");
    let host = binaries::leasehold()?;
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec {} \"$@\"\n", host.display());
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    let hello = guests::c_hello()?;
    let config = embedded("host-a", dir.path())?.job("hello", |job| {
        job.plugin(&hello).every("1s").restart("100ms", "500ms")
    });
    let host = HostProcess::start_program(&program, &config)?;
    // Between two ticks: one that had run would first have to be noted down, for as long as that takes.
    host.wait_after(0, SLACK, |event| {
        event.is("released") && event.job() == Some("hello")
    })?;

    let mark = host.mark();
    limit_files(&host, Some(4096))?;
    let backoff = host.wait_after(mark, SLACK, |event| {
        event.is("backoff") && event.job() == Some("hello")
    })?;
    let reason = backoff.reason().unwrap_or_default();
    ensure!(reason.contains("disk failed"), "{backoff}");
    eventually(SLACK, "the failure in the log", || {
        let said = host.stderr();
        ensure!(
            said.contains("disk failed") && said.contains("/store/store."),
            "{said}"
        );
        Ok(())
    })?;
    let failed_at = host.mark();
    limit_files(&host, None)?;
    host.wait_after(failed_at, SLACK, |event| {
        event.is("run-ended") && event.job() == Some("hello") && event.outcome() == Some("done")
    })?;
    // Nothing ran without a lock that the store had confirmed.
    let events = host.events();
    let between = &events[..failed_at];
    let position = between
        .iter()
        .position(|event| *event == backoff)
        .context("the refusal is gone")?;
    let ran = between[position..]
        .iter()
        .find(|event| event.is("acquired"));
    ensure!(ran.is_none(), "{ran:?}");
    end(host).map(drop)
}
