//! A holder that ends: killed without notice, or by a signal.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::wait::boot_ns;

use crate::scene::{
    BUSY, Duel, EXPIRY, LEDGER, PULSE, TTL, at, end_host, etcdctl_json, lease_of, next, ns, runs,
    token, wait_record,
};

on_every_store!(
    after_a_kill_the_successor_waits_for_the_leases_end,
    a_shutdown_stops_the_guest_before_it_releases_the_lock,
);

/// Longest time between a release and the successor's start.
const SUCCESSION: Duration = Duration::from_secs(1);

fn after_a_kill_the_successor_waits_for_the_leases_end(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    let key = duel.holder(PULSE)?;
    let killed_ns = boot_ns();
    duel.a.kill()?;
    let asked_ns = boot_ns();
    let left = whole_seconds_left(&duel.etcd, lease_of(&key))?;
    ensure!(
        left > 0,
        "the lease was over {left} s after the kill: nothing to wait for"
    );
    for (job, successor) in duel.jobs.iter().zip(duel.b_takes_over()?) {
        let dead = duel.first_run(job)?;
        let acquired_ns = at(&next(&duel.b, 0, job, "acquired")?)?;
        ensure!(
            acquired_ns >= asked_ns + ns(Duration::from_secs(left)),
            "{job} was taken over at {acquired_ns}, though at {asked_ns} its lease had {left} s left"
        );
        let took = Duration::from_nanos(acquired_ns.saturating_sub(killed_ns));
        ensure!(
            took <= TTL + EXPIRY + BUSY,
            "{job} was taken over {took:?} after the kill"
        );
        ensure!(
            token(&successor)? > token(&dead)?,
            "{successor} after {dead}"
        );
        let record = wait_record(&duel.b, &dead, "abandoned")?;
        let detail = record["detail"].as_str().unwrap_or_default();
        ensure!(
            detail.contains("host a"),
            "the record does not say whose run it was: {record}"
        );
    }
    duel.end(&Circumstances::default().killed("a")).map(drop)
}

/// Remaining TTL of a lease, rounded down: it does not end before that.
fn whole_seconds_left(etcd: &Etcd, lease: &str) -> Result<u64> {
    let said = etcdctl_json(etcd, &["lease", "timetolive", lease])?;
    let left = said["ttl"]
        .as_i64()
        .with_context(|| format!("no ttl in {said}"))?;
    Ok(u64::try_from(left).unwrap_or(0))
}

/// Promise P1. Fails on the mutant "release before the run has ended", see scripts/mutants.
fn a_shutdown_stops_the_guest_before_it_releases_the_lock(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    end_host(&mut duel.a)?;
    for job in [PULSE, LEDGER] {
        let run = duel.first_run(job)?;
        let successor = runs(&duel.b, 0, job)?;
        let ended = next(&duel.a, 0, job, "run-ended")?;
        let stopped_ns = ended
            .stopped_ns()
            .context("a run ended without being stopped")?;
        ensure!(
            stopped_ns < at(&successor)?,
            "{successor} began before the end of {ended}"
        );
        // Logged after the store's answer, so the successor may start a moment before it.
        let released = next(&duel.a, 0, job, "released")?;
        ensure!(
            stopped_ns <= at(&ended)? && at(&ended)? <= at(&released)?,
            "not in order: {ended}, {released}"
        );
        ensure!(
            token(&released)? == token(&run)?,
            "{released} is not of {run}"
        );
        // The heartbeat cannot listen; the ledger does, and ends by itself.
        let outcome = if job == PULSE { "stopped" } else { "done" };
        ensure!(ended.outcome() == Some(outcome), "not {outcome}: {ended}");
        let took = Duration::from_nanos(at(&successor)?.saturating_sub(at(&released)?));
        ensure!(
            took <= SUCCESSION + BUSY,
            "{successor} began {took:?} after {released}"
        );
        wait_record(&duel.b, &run, outcome)?;
    }
    duel.end(&Circumstances::default()).map(drop)
}
