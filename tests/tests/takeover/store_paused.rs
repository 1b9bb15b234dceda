//! A paused store: no renewal is answered, and the holder of a lock is unknown.

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config};
use leasehold_tests::host::merged;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::boot_ns;

use crate::scene::{
    Duel, LEDGER, MARGIN, PULSE, SLACK, STUBBORN, TTL, at, ended_lost, goes_on, kept_running, next,
    ns, runs, since, stubborn, token,
};

on_every_store!(
    a_store_paused_past_the_lease_ends_the_run_and_starts_none,
    a_guest_that_spins_is_stopped_before_its_lease_can_end,
    a_short_pause_of_the_store_changes_nothing,
);

fn a_store_paused_past_the_lease_ends_the_run_and_starts_none(version: Version) -> Result<()> {
    let duel = Duel::start(version)?;
    let firsts = [duel.first_run(PULSE)?, duel.first_run(LEDGER)?];
    duel.etcd.pause()?;
    let paused_ns = boot_ns();
    let mut deadline_ns = 0;
    for job in [PULSE, LEDGER] {
        let ended = next(&duel.a, 0, job, "run-ended")?;
        ended_lost(&ended)?;
        deadline_ns = deadline_ns.max(
            ended
                .deadline_ns()
                .context("a run ended without a deadline")?,
        );
    }
    ensure!(
        deadline_ns < paused_ns + ns(TTL.saturating_sub(MARGIN)),
        "a run was to end at {deadline_ns}, though no renewal can have been answered after {paused_ns}"
    );
    // Long enough for a wrong run to be logged.
    std::thread::sleep(TTL / 2);
    let events = merged(&[&duel.a, &duel.b]);
    let late = events.iter().find(|event| {
        (event.is("guest") || event.is("run-started"))
            && event.boot_ns().is_some_and(|at| at >= deadline_ns)
    });
    ensure!(
        late.is_none(),
        "a guest ran while the holder was unknown: {late:?}"
    );

    let mark = (duel.a.mark(), duel.b.mark());
    duel.etcd.resume()?;
    for first in &firsts {
        let job = first.job().unwrap_or_default();
        // Either host may be the first in the new queue.
        let acquired = either(&duel, mark, job)?;
        ensure!(
            token(&acquired)? > token(first)?,
            "{acquired} after {first}"
        );
    }
    duel.end(&Circumstances::default()).map(drop)
}

/// The first run of `job` with an effect that either host starts after the marks.
fn either(
    duel: &Duel,
    (a, b): (usize, usize),
    job: &str,
) -> Result<leasehold_tests::events::Event> {
    leasehold_tests::wait::eventually(SLACK, &format!("a run of {job}"), || {
        let starts = [
            since(&duel.a, a, job, "run-started"),
            since(&duel.b, b, job, "run-started"),
        ]
        .concat();
        starts.into_iter().next().context("there is none")
    })
    .and_then(|started| {
        let (host, mark) = if started.host() == Some("a") {
            (&duel.a, a)
        } else {
            (&duel.b, b)
        };
        runs(host, mark, job)
    })
    .with_context(|| format!("events: {:?}", merged(&[&duel.a, &duel.b])))
}

/// Promise P2. Fails on the mutant "the epoch never interrupts", see scripts/mutants.
///
/// At the end, the hosts are asked to stop while the guest of one of them spins.
fn a_guest_that_spins_is_stopped_before_its_lease_can_end(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = |host| stubborn(host, &etcd.endpoint(), "spin");
    let (a, b) = (config("a")?, config("b")?);
    let duel = Duel::with(etcd, &a, &b, &[STUBBORN])?;
    duel.etcd.pause()?;
    ended_lost(&next(&duel.a, 0, STUBBORN, "run-ended")?)?;
    let mark = (duel.a.mark(), duel.b.mark());
    duel.etcd.resume()?;
    either(&duel, mark, STUBBORN)?;
    duel.end(&Circumstances::default()).map(drop)
}

/// A fill of 64 MiB takes longer than a tick and cannot be interrupted. It is under way at the deadline, whenever
/// that is, since the guest does nothing else. The store's version has no part in it.
#[test]
fn a_memory_filling_guest_is_stopped_before_its_lease_ends() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let plugin = guests::stubborn()?;
    let config = |host| {
        config(host, &etcd.endpoint()).job(STUBBORN, |job| {
            let job = kept_running(job, TTL).plugin(&plugin);
            let job = job.config("mode", "fill").config("after_beats", 3);
            job.config("mib", 64).limit("memory", "96MiB")
        })
    };
    let (a, b) = (config("a"), config("b"));
    let duel = Duel::with(etcd, &a, &b, &[STUBBORN])?;
    duel.etcd.pause()?;
    let ended = next(&duel.a, 0, STUBBORN, "run-ended")?;
    ended_lost(&ended)?;
    let mark = (duel.a.mark(), duel.b.mark());
    duel.etcd.resume()?;
    either(&duel, mark, STUBBORN)?;
    duel.end(&Circumstances::default()).map(drop)
}

fn a_short_pause_of_the_store_changes_nothing(version: Version) -> Result<()> {
    let duel = Duel::start(version)?;
    let mark = duel.a.mark();
    duel.etcd.pause()?;
    std::thread::sleep(TTL / 3);
    duel.etcd.resume()?;
    let resumed_ns = boot_ns();
    for job in [PULSE, LEDGER] {
        let first = duel.first_run(job)?;
        // Past the end of every lease granted before the pause.
        goes_on(&duel.a, &first, resumed_ns + ns(TTL))?;
        let lost = since(&duel.a, mark, job, "lock-lost");
        ensure!(lost.is_empty(), "{lost:?}");
        ensure!(
            since(&duel.b, 0, job, "acquired").is_empty(),
            "the waiter got {job}"
        );
        ensure!(
            at(&first)? < resumed_ns,
            "{first} is not from before the pause"
        );
    }
    duel.end(&Circumstances::default()).map(drop)
}
