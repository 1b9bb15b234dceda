//! A network that fails between the holder and the store, while the other host reaches the store well.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::boot_ns;

use crate::scene::{
    Duel, LEDGER, PULSE, TTL, at, end_host, ended_without_the_store, goes_on, next, ns, one_job,
    runs, since, token,
};

on_every_store!(
    a_holder_cut_off_both_ways_stops_before_its_successor,
    a_holder_without_answers_stops_before_its_successor,
    a_holder_on_an_unreading_store_stops_before_its_successor,
    a_refused_holder_stops_before_its_successor_and_returns,
    a_holder_with_reset_connections_keeps_lock_and_token,
);

/// Host `a` reaches the store through the proxy, host `b` directly.
fn behind_a_proxy(version: Version) -> Result<(FaultProxy, Duel)> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let (for_a, for_b) = (proxy.endpoint(), etcd.endpoint());
    let duel = Duel::through(etcd, &for_a, &for_b)?;
    Ok((proxy, duel))
}

fn a_holder_cut_off_both_ways_stops_before_its_successor(version: Version) -> Result<()> {
    let (proxy, duel) = behind_a_proxy(version)?;
    proxy.set(Mode::DropBoth);
    taken_over_after_the_stop(&duel)?;
    heal_and_queue_again(&proxy, duel)
}

fn a_holder_without_answers_stops_before_its_successor(version: Version) -> Result<()> {
    let (proxy, duel) = behind_a_proxy(version)?;
    // Renewals go on arriving and being carried out: only the holder does not know.
    proxy.set(Mode::DropResponses);
    taken_over_after_the_stop(&duel)?;
    heal_and_queue_again(&proxy, duel)
}

/// The windows fill up while the guest keeps writing; watch events and answers to received requests still arrive.
fn a_holder_on_an_unreading_store_stops_before_its_successor(version: Version) -> Result<()> {
    let (proxy, duel) = behind_a_proxy(version)?;
    proxy.set(Mode::DropRequests);
    taken_over_after_the_stop(&duel)?;
    heal_and_queue_again(&proxy, duel)
}

fn a_refused_holder_stops_before_its_successor_and_returns(version: Version) -> Result<()> {
    let (proxy, duel) = behind_a_proxy(version)?;
    proxy.set(Mode::Refuse);
    proxy.reset();
    taken_over_after_the_stop(&duel)?;
    heal_and_queue_again(&proxy, duel)
}

/// The cut-off holder stops by itself, and only then does the other host start.
fn taken_over_after_the_stop(duel: &Duel) -> Result<()> {
    for (job, successor) in duel.jobs.iter().zip(duel.b_takes_over()?) {
        let ended = next(&duel.a, 0, job, "run-ended")?;
        ended_without_the_store(&ended)?;
        let stopped_ns = ended
            .stopped_ns()
            .context("a run ended without being stopped")?;
        ensure!(
            stopped_ns < at(&successor)?,
            "{successor} began before the end of {ended}"
        );
        ensure!(
            token(&successor)? > token(&duel.first_run(job)?)?,
            "{successor}"
        );
    }
    Ok(())
}

/// The network is well again: the host that was cut off queues, and gets the locks when it is its turn.
fn heal_and_queue_again(proxy: &FaultProxy, mut duel: Duel) -> Result<()> {
    let mark = duel.a.mark();
    proxy.set(Mode::Pass);
    for job in [PULSE, LEDGER] {
        next(&duel.a, mark, job, "waiting")?;
    }
    end_host(&mut duel.b)?;
    for job in [PULSE, LEDGER] {
        runs(&duel.a, mark, job)?;
    }
    duel.end(&Circumstances::default()).map(drop)
}

fn a_holder_with_reset_connections_keeps_lock_and_token(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let (a, b) = (
        one_job("a", &proxy.endpoint())?,
        one_job("b", &etcd.endpoint())?,
    );
    let duel = Duel::with(etcd, &a, &b, &[PULSE])?;
    let mark = duel.a.mark();
    let connections = proxy.accepted();
    for _ in 0..3 {
        proxy.reset();
        std::thread::sleep(Duration::from_millis(300));
    }
    ensure!(
        proxy.accepted() > connections,
        "no connection was opened again, so nothing was reset"
    );
    // Past the end of every lease granted before the resets.
    goes_on(&duel.a, &duel.first_run(PULSE)?, boot_ns() + ns(TTL))?;
    for name in ["lock-lost", "run-ended", "acquired"] {
        let seen = since(&duel.a, mark, PULSE, name);
        ensure!(seen.is_empty(), "{seen:?}");
    }
    ensure!(
        since(&duel.b, 0, PULSE, "acquired").is_empty(),
        "the waiter got the lock"
    );
    duel.end(&Circumstances::default()).map(drop)
}
