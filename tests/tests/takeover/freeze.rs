//! A holder that is frozen and thawed, as after a long pause of the machine.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::boot_ns;

use crate::scene::{
    Duel, LEDGER, PULSE, STUBBORN, TTL, at, end_host, ended_lost, goes_on, next, ns, runs, since,
    stubborn, token,
};

on_every_store!(
    a_host_frozen_past_its_lease_makes_no_late_call,
    a_guest_that_always_calls_makes_no_call_after_the_thaw,
    a_freeze_shorter_than_the_lease_changes_nothing,
);

fn a_host_frozen_past_its_lease_makes_no_late_call(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    duel.a.stop()?;
    let successors = duel.b_takes_over()?;
    let mark = duel.a.mark();
    duel.a.cont()?;
    sees_the_loss(&duel, mark)?;
    queues_again(&duel, mark)?;
    for (job, successor) in [PULSE, LEDGER].into_iter().zip(&successors) {
        ensure!(
            token(successor)? > token(&duel.first_run(job)?)?,
            "{successor} of {job}"
        );
        goes_on(&duel.b, successor, boot_ns())?;
    }
    // Back in the queue in earnest: it gets the lock when its turn comes.
    let mark = duel.a.mark();
    end_host(&mut duel.b)?;
    for (job, successor) in [PULSE, LEDGER].into_iter().zip(&successors) {
        let again = runs(&duel.a, mark, job)?;
        ensure!(
            token(&again)? > token(successor)?,
            "{again} after {successor}"
        );
    }
    duel.end(&Circumstances::default().frozen("a")).map(drop)
}

/// The thawed host `a` makes no late call and logs the loss.
fn sees_the_loss(duel: &Duel, mark: usize) -> Result<()> {
    for job in &duel.jobs {
        let run = duel.first_run(job)?;
        ended_lost(&next(&duel.a, mark, job, "run-ended")?)?;
        let lost = next(&duel.a, mark, job, "lock-lost")?;
        ensure!(token(&lost)? == token(&run)?, "{lost} is not of {run}");
    }
    Ok(())
}

/// The thawed host `a` waits again, and has not given back what it had lost.
fn queues_again(duel: &Duel, mark: usize) -> Result<()> {
    for job in &duel.jobs {
        next(&duel.a, mark, job, "waiting")?;
        let released = since(&duel.a, 0, job, "released");
        ensure!(released.is_empty(), "{released:?}");
    }
    Ok(())
}

/// Promise P3. Fails on the mutant "the gate admits every call", see scripts/mutants.
/// Fails on the mutant "the tenure does not read the clock", see scripts/mutants.
///
/// The network is cut before the freeze, so only the clock shows the host that its deadline has passed.
fn a_guest_that_always_calls_makes_no_call_after_the_thaw(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let a = stubborn("a", &proxy.endpoint(), "flood")?;
    let b = stubborn("b", &etcd.endpoint(), "flood")?;
    let duel = Duel::with(etcd, &a, &b, &[STUBBORN])?;
    proxy.set(Mode::DropBoth);
    // The flood has no pauses, so at any moment of the freeze the guest's next call is close.
    duel.a.stop()?;
    duel.b_takes_over()?;
    let mark = duel.a.mark();
    duel.a.cont()?;
    sees_the_loss(&duel, mark)?;
    proxy.set(Mode::Pass);
    queues_again(&duel, mark)?;
    duel.end(&Circumstances::default().frozen("a")).map(drop)
}

fn a_freeze_shorter_than_the_lease_changes_nothing(version: Version) -> Result<()> {
    let duel = Duel::start(version)?;
    duel.a.stop()?;
    // A renewal went out at most a third of the TTL ago, or a little more on a busy machine; half of it may pass.
    std::thread::sleep((TTL / 2).saturating_sub(Duration::from_millis(500)));
    let mark = duel.a.mark();
    duel.a.cont()?;
    let thawed_ns = boot_ns();
    for job in [PULSE, LEDGER] {
        // Past the end of every lease granted before the thaw.
        goes_on(&duel.a, &duel.first_run(job)?, thawed_ns + ns(TTL))?;
        for name in ["lock-lost", "run-ended", "acquired"] {
            let seen = since(&duel.a, mark, job, name);
            ensure!(seen.is_empty(), "{seen:?}");
        }
        ensure!(
            since(&duel.b, 0, job, "acquired").is_empty(),
            "the waiter got {job}"
        );
        ensure!(
            at(&duel.first_run(job)?)? < thawed_ns,
            "a run began after the thaw"
        );
    }
    duel.end(&Circumstances::default().frozen("a")).map(drop)
}
