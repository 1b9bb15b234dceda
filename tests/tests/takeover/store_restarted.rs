//! A store that dies and comes back: soon, late, or without its data.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::host::merged;
use leasehold_tests::wait::{boot_ns, eventually};
use leasehold_tests::{on_etcd, on_every_store};

use crate::scene::{
    Duel, LEDGER, PULSE, SLACK, at, create_revision, end_host, ended_without_the_store, goes_on,
    judge, next, ns, one_job_for, since, token, two_jobs_for,
};
use leasehold_tests::bank;

on_every_store!(
    a_store_back_before_the_deadline_keeps_holder_and_token,
    a_store_killed_repeatedly_keeps_holder_and_token,
    a_store_back_too_late_finds_the_guest_stopped,
);

// An embedded store that is wiped draws another cluster id, and is refused as a stranger: see below.
on_etcd!(a_wiped_store_runs_nothing_under_a_smaller_token);

/// A killed etcd is ready again in less than two seconds here; the rest is for a busy machine.
const OUTLASTS_RESTART: Duration = Duration::from_secs(6);

fn a_store_back_before_the_deadline_keeps_holder_and_token(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = |host| two_jobs_for(host, &etcd.endpoint(), OUTLASTS_RESTART);
    let (a, b) = (config("a")?, config("b")?);
    let mut duel = Duel::with(etcd, &a, &b, &[PULSE, LEDGER])?;
    let mark = duel.a.mark();
    duel.etcd.restart()?;
    let back_ns = boot_ns();
    // Past the end of every lease granted before the crash.
    let went_on = goes_on(
        &duel.a,
        &duel.first_run(PULSE)?,
        back_ns + ns(OUTLASTS_RESTART),
    );
    if may_forget(version) && went_on.is_err() {
        // The entry itself was forgotten: then its holder must have been stopped, as after any loss.
        ended_without_the_store(&next(&duel.a, mark, PULSE, "run-ended")?)?;
    } else {
        went_on?;
        let lost = since(&duel.a, mark, PULSE, "lock-lost");
        ensure!(lost.is_empty(), "{lost:?}");
        ensure!(
            since(&duel.b, 0, PULSE, "acquired").is_empty(),
            "the waiter got the lock"
        );
    }
    // The ledger's run may have ended by a write without an answer; another run continues the ledger.
    let transfers = bank::audit(&duel.etcd)?;
    eventually(SLACK, "the ledger to go on", || {
        let now = bank::audit(&duel.etcd)?;
        ensure!(now > transfers, "{now} transfers, as before");
        Ok(())
    })?;
    duel.end(&Circumstances::default()).map(drop)
}

/// Each restart gives the lease its whole TTL again, and takes the watches and the renewals' stream away. A crash of
/// 3.5.1 may forget the entry; then the run ends as after any loss.
fn a_store_killed_repeatedly_keeps_holder_and_token(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = |host| one_job_for(host, &etcd.endpoint(), OUTLASTS_RESTART);
    let (a, b) = (config("a")?, config("b")?);
    let mut duel = Duel::with(etcd, &a, &b, &[PULSE])?;
    let first = duel.first_run(PULSE)?;
    for _ in 0..2 {
        duel.etcd.restart()?;
        // Beyond a renewal, so that the deadline has moved since.
        let went_on = goes_on(&duel.a, &first, boot_ns() + ns(OUTLASTS_RESTART / 2));
        if may_forget(version) && went_on.is_err() {
            ended_without_the_store(&next(&duel.a, 0, PULSE, "run-ended")?)?;
            return duel.end(&Circumstances::default()).map(drop);
        }
        went_on?;
        let held = create_revision(&duel.etcd, &duel.holder(PULSE)?)?;
        ensure!(held == token(&first)?, "{held} is held, not {first}");
    }
    ensure!(since(&duel.b, 0, PULSE, "acquired").is_empty());
    duel.end(&Circumstances::default()).map(drop)
}

/// True for a version that is known to lose acknowledged writes at a crash: 3.5.0 to 3.5.2 can persist the applied
/// index before the applied data. A lock entry lost in this way ends the tenure of its holder.
fn may_forget(version: Version) -> bool {
    version == Version::V3_5
}

fn a_store_back_too_late_finds_the_guest_stopped(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    let firsts = [duel.first_run(PULSE)?, duel.first_run(LEDGER)?];
    duel.etcd.kill()?;
    for job in [PULSE, LEDGER] {
        ended_without_the_store(&next(&duel.a, 0, job, "run-ended")?)?;
    }
    ensure!(
        since(&duel.b, 0, PULSE, "acquired").is_empty(),
        "the waiter got a lock from a dead store"
    );
    duel.etcd.restart()?;
    for first in &firsts {
        let job = first.job().unwrap_or_default();
        let again = runs_again(&duel, first)?;
        ensure!(
            token(&again)? > token(first)?,
            "{job}: {again} after {first}"
        );
    }
    duel.end(&Circumstances::default()).map(drop)
}

/// Waits for a run of the same job, by either host, that started later and has had an effect.
fn runs_again(duel: &Duel, first: &Event) -> Result<Event> {
    let (job, began_ns) = (first.job().unwrap_or_default(), at(first)?);
    let again = eventually(SLACK, &format!("another run of {job}"), || {
        let events = merged(&[&duel.a, &duel.b]);
        let mut starts = events
            .into_iter()
            .filter(|event| event.is("run-started") && event.job() == Some(job));
        let again = starts.find(|start| start.boot_ns().is_some_and(|at| at > began_ns));
        again.context("there is none")
    });
    let again = again.with_context(|| format!("events: {:?}", events_of_hosts(duel)))?;
    let host = if again.host() == Some("a") {
        &duel.a
    } else {
        &duel.b
    };
    goes_on(host, &again, at(&again)?)?;
    Ok(again)
}

/// Events of the hosts, without their guests' output.
fn events_of_hosts(duel: &Duel) -> Vec<Event> {
    let events = merged(&[&duel.a, &duel.b]);
    let own = events
        .into_iter()
        .filter(|event| !event.is("guest") && !event.is("progress"));
    own.collect()
}

fn a_wiped_store_runs_nothing_under_a_smaller_token(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    let firsts = [duel.first_run(PULSE)?, duel.first_run(LEDGER)?];
    // The ledger's writes bring the store so far that a new one does not catch up in a moment.
    eventually(SLACK, "a revision far from the first", || {
        let revision = duel.etcd.revision()?;
        ensure!(revision > 300, "it is {revision}");
        Ok(())
    })?;
    // Host a has seen this much once another of its transfers is done, host b at least its own place; a host in
    // the queue has seen the tokens of all before it, so neither can repeat one.
    let seen_by_a = duel.etcd.revision()?;
    let seen_by_b = create_revision(&duel.etcd, &duel.waiter(PULSE)?)?;
    let marks = (duel.a.mark(), duel.b.mark());
    goes_on(&duel.a, &firsts[1], boot_ns())?;
    duel.etcd.restart_wiped()?;
    for job in [PULSE, LEDGER] {
        ended_without_the_store(&next(&duel.a, 0, job, "run-ended")?)?;
    }
    // It logs the reason, and keeps trying.
    duel.a.wait_after(marks.0, SLACK, |event| {
        let reason = event.reason().unwrap_or_default();
        event.is("backoff") && reason.contains("went back from revision")
    })?;
    // Time passes in the store; once it has caught up, they run again.
    // Both hosts have seen a few revisions more: the writes until the wipe.
    while duel.etcd.revision()? <= seen_by_a + 200 {
        duel.etcd
            .etcdctl(&["put", "/elsewhere", "another change"])?;
    }
    for first in &firsts {
        runs_again(&duel, first)?;
    }
    let hosts = [(&duel.a, marks.0, seen_by_a), (&duel.b, marks.1, seen_by_b)];
    for (host, mark, seen) in hosts {
        for acquired in [
            since(host, mark, PULSE, "acquired"),
            since(host, mark, LEDGER, "acquired"),
        ]
        .concat()
        {
            ensure!(
                token(&acquired)? > seen,
                "{acquired}, though revision {seen} was seen before the wipe"
            );
        }
    }
    // The ledger's money went with the store, so only the hosts are judged here.
    end_host(&mut duel.a)?;
    end_host(&mut duel.b)?;
    judge(&[&duel.a, &duel.b], &Circumstances::default()).map(drop)
}

/// Effect of a lost directory: the hosts recognize that this is not their store, with any content.
#[test]
fn a_wiped_embedded_store_runs_nothing_until_hosts_restart() -> Result<()> {
    let mut duel = Duel::start(Version::Embedded)?;
    duel.first_run(PULSE)?;
    let marks = (duel.a.mark(), duel.b.mark());
    duel.etcd.restart_as_another()?;
    for job in [PULSE, LEDGER] {
        ended_without_the_store(&next(&duel.a, 0, job, "run-ended")?)?;
    }
    for (host, mark) in [(&duel.a, marks.0), (&duel.b, marks.1)] {
        host.wait_after(mark, SLACK, |event| {
            let reason = event.reason().unwrap_or_default();
            event.is("backoff") && reason.contains("another cluster")
        })?;
        for job in [PULSE, LEDGER] {
            let acquired = since(host, mark, job, "acquired");
            ensure!(acquired.is_empty(), "{acquired:?}");
        }
    }
    end_host(&mut duel.a)?;
    end_host(&mut duel.b)?;
    judge(&[&duel.a, &duel.b], &Circumstances::default()).map(drop)
}
