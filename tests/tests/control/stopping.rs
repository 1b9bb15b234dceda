//! Ending one run: the next one goes on, with the newest version.

use anyhow::{Result, ensure};
use leasehold_records::{JobRecord, Outcome};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::Job;
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::{JOB, SLACK, TTL, beating, count, end_host, host, next, order, refused, runs, token};

on_every_store!(
    a_stop_ends_one_run_and_never_the_next,
    a_restart_takes_the_version_that_waits,
    a_version_with_update_restart_takes_over_by_itself,
    restart_that_a_hold_keeps_from_running_again_is_refused,
);

fn a_stop_ends_one_run_and_never_the_next(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    let mut a = HostProcess::start(&config)?;
    let first = next(&a, 0, "run-started")?;
    let mark = a.mark();
    let told = order(&config, &["stop", JOB, "--why", "it hangs"])?;
    ensure!(told.starts_with("pulse on a (token "), "{told}");
    let asked = next(&a, mark, "stop-requested")?;
    ensure!(
        asked.token() == first.token() && asked.str("why") == Some("it hangs"),
        "{asked}"
    );
    let ended = next(&a, mark, "run-ended")?;
    ensure!(ended.outcome() == Some("stopped"), "{ended}");
    let second = next(&a, mark, "run-started")?;
    ensure!(token(&second)? > token(&first)?, "{second} after {first}");
    // The request is still there, and is of the first token alone.
    let request = format!("/leasehold/control/stops/pulse/{:020}", token(&first)?);
    let found = etcd.etcdctl(&["get", "--keys-only", &request])?;
    ensure!(found.trim() == request, "{found}");
    let since = second.boot_ns();
    a.wait_for(SLACK, |event| {
        let later = event
            .boot_ns()
            .zip(since)
            .map(|(at, since)| at.saturating_sub(since));
        event.is("guest") && event.run() == second.run() && later > Some(ns(TTL))
    })?;
    ensure!(count(&a, "stop-requested") == 1, "it was asked twice");
    let told = order(&config, &["stop", JOB, "--host", "a"])?;
    ensure!(told.contains("keeps it off"), "{told}");
    end_host(&mut a)?;
    let stopped = runs(&etcd)?;
    let stopped = stopped
        .iter()
        .filter(|run| run.detail.starts_with("stopped by"));
    ensure!(
        stopped.clone().all(|run| run.outcome == Outcome::Stopped),
        "{stopped:?}"
    );
    ensure!(stopped.count() == 2, "{:?}", runs(&etcd)?);
    Ok(())
}

fn ns(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The record of the job on host `a`.
fn record(etcd: &Etcd) -> Result<JobRecord> {
    let json = etcd.etcdctl(&["get", "--print-value-only", "/leasehold/jobs/pulse/a"])?;
    Ok(JobRecord::from_json(json.trim().as_bytes())?)
}

fn a_restart_takes_the_version_that_waits(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    let mut a = HostProcess::start(&config)?;
    let first = next(&a, 0, "run-started")?;
    a.reconfigure(&host("a", &etcd, |job| job.args(&["0", "30"]))?)?;
    let changed = next(&a, 0, "job-changed")?;
    ensure!(
        changed.str("from") == Some("with the next run"),
        "{changed}"
    );
    let pending = eventually(SLACK, "a record with a pending version", || {
        let record = record(&etcd)?;
        ensure!(record.pending.is_some(), "{record:?}");
        Ok(record)
    })?;
    ensure!(
        pending
            .detail
            .contains("`leasehold restart pulse` takes it now"),
        "{pending:?}"
    );
    let mark = a.mark();
    let told = order(&config, &["restart", JOB])?;
    ensure!(told.contains("has ended; pulse on a (token "), "{told}");
    let second = next(&a, mark, "run-started")?;
    ensure!(token(&second)? > token(&first)?, "{second} after {first}");
    eventually(SLACK, "a record without a pending version", || {
        let record = record(&etcd)?;
        ensure!(
            record.pending.is_none() && record.token.is_some(),
            "{record:?}"
        );
        Ok(())
    })?;
    end_host(&mut a)
}

fn a_version_with_update_restart_takes_over_by_itself(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut a = HostProcess::start(&host("a", &etcd, beating)?)?;
    let first = next(&a, 0, "run-started")?;
    let restarting = |job: Job| job.args(&["0", "30"]).key("update", "restart");
    a.reconfigure(&host("a", &etcd, restarting)?)?;
    let asked = next(&a, 0, "stop-requested")?;
    let why = asked.str("why").unwrap_or_default();
    ensure!(why.ends_with("which has update = \"restart\""), "{asked}");
    let mark = a.mark();
    let second = next(&a, mark, "run-started")?;
    ensure!(token(&second)? > token(&first)?, "{second} after {first}");
    // The run that follows is not ended by that change.
    let since = second.boot_ns();
    a.wait_for(SLACK, |event| {
        let later = event
            .boot_ns()
            .zip(since)
            .map(|(at, since)| at.saturating_sub(since));
        event.is("guest") && event.run() == second.run() && later > Some(ns(TTL))
    })?;
    ensure!(count(&a, "stop-requested") == 1, "it was asked twice");
    end_host(&mut a)
}

fn restart_that_a_hold_keeps_from_running_again_is_refused(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    let mut a = HostProcess::start(&config)?;
    next(&a, 0, "run-started")?;
    for (hold, remedy) in [
        (&["pause", JOB][..], &["resume", JOB][..]),
        (&["pause", "--all"], &["resume", "--all"]),
        (&["drain", "a", "--keep"], &["undrain", "a"]),
    ] {
        order(&config, &[hold, &["--why", "new kernel"]].concat())?;
        let told = refused(&config, &["restart", JOB], 6)?.stderr;
        let remedy_shown = format!("`leasehold {}`", remedy.join(" "));
        ensure!(
            told.contains("new kernel") && told.contains(&remedy_shown),
            "{told}"
        );
        ensure!(told.contains("`leasehold stop pulse`"), "{told}");
        order(&config, remedy)?;
    }
    ensure!(count(&a, "stop-requested") == 0, "its run was asked to end");
    end_host(&mut a)
}
