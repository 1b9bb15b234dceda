//! A waiter whose lease ends while it waits: it must never acquire with the ended session.

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::Version;
use leasehold_tests::events::Event;
use leasehold_tests::on_every_store;

use crate::scene::{
    Duel, LEDGER, PULSE, TTL, create_revision, end_host, lease_of, lock_prefix, next, runs, since,
    token, wait_queue,
};

on_every_store!(
    a_waiter_frozen_past_its_lease_queues_behind_the_holder,
    a_waiter_frozen_past_its_lease_acquires_under_a_new_lease,
    a_waiter_whose_lease_is_revoked_queues_again_under_another,
    a_waiter_and_store_frozen_past_the_lease_make_no_dead_holder,
);

fn a_waiter_frozen_past_its_lease_queues_behind_the_holder(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    let old = duel.waiter(PULSE)?;
    freeze_b_until_its_entries_are_deleted(&duel)?;
    let mark = duel.b.mark();
    duel.b.cont()?;
    for job in [PULSE, LEDGER] {
        next(&duel.b, mark, job, "waiting")?;
        wait_queue(&duel.etcd, job, "two entries", |queue| queue.len() == 2)?;
        ensure!(
            lease_of(&duel.waiter(job)?) != lease_of(&old),
            "queued again under the old lease"
        );
        ensure!(
            since(&duel.b, 0, job, "acquired").is_empty(),
            "acquired though {job} is held"
        );
    }
    end_host(&mut duel.a)?;
    let starts = duel.b_takes_over()?;
    under_another_lease(&duel, &starts, &old)?;
    duel.end(&Circumstances::default().frozen("b")).map(drop)
}

fn a_waiter_frozen_past_its_lease_acquires_under_a_new_lease(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    let old = duel.waiter(PULSE)?;
    duel.b.stop()?;
    // Released while the frozen waiter still has its place: on paper it now holds both locks.
    end_host(&mut duel.a)?;
    for job in [PULSE, LEDGER] {
        let front = duel.holder(job)?;
        ensure!(
            lease_of(&front) == lease_of(&old),
            "{front} is in front of {job}"
        );
    }
    for job in [PULSE, LEDGER] {
        wait_queue(&duel.etcd, job, "no entry", <[String]>::is_empty)?;
    }
    duel.b.cont()?;
    let starts = duel.b_takes_over()?;
    under_another_lease(&duel, &starts, &old)?;
    duel.end(&Circumstances::default().frozen("b")).map(drop)
}

fn a_waiter_whose_lease_is_revoked_queues_again_under_another(version: Version) -> Result<()> {
    let mut duel = Duel::start(version)?;
    let old = duel.waiter(PULSE)?;
    let mark = duel.b.mark();
    duel.etcd.revoke(lease_of(&old))?;
    for job in [PULSE, LEDGER] {
        next(&duel.b, mark, job, "waiting")?;
        wait_queue(&duel.etcd, job, "two entries", |queue| queue.len() == 2)?;
        ensure!(
            lease_of(&duel.waiter(job)?) != lease_of(&old),
            "queued again under the revoked lease"
        );
    }
    end_host(&mut duel.a)?;
    let starts = duel.b_takes_over()?;
    under_another_lease(&duel, &starts, &old)?;
    duel.end(&Circumstances::default()).map(drop)
}

/// All leases end while both are frozen. When both continue, the waiter may receive the holder's end before its own.
fn a_waiter_and_store_frozen_past_the_lease_make_no_dead_holder(version: Version) -> Result<()> {
    let duel = Duel::start(version)?;
    let old = duel.waiter(PULSE)?;
    duel.etcd.pause()?;
    duel.b.stop()?;
    for job in [PULSE, LEDGER] {
        next(&duel.a, 0, job, "run-ended")?;
    }
    std::thread::sleep(Duration::from_secs(1));
    duel.b.cont()?;
    duel.etcd.resume()?;
    for job in [PULSE, LEDGER] {
        let queue = wait_queue(&duel.etcd, job, "two new entries", |queue| {
            queue.len() == 2 && queue.iter().all(|key| lease_of(key) != lease_of(&old))
        })?;
        let holder_token = create_revision(&duel.etcd, &queue[0])?;
        for host in [&duel.a, &duel.b] {
            let tokens: Vec<_> = since(host, 0, job, "acquired")
                .iter()
                .filter_map(Event::token)
                .collect();
            let first = token(&duel.first_run(job)?)?;
            let known = tokens
                .iter()
                .all(|token| [first, holder_token].contains(token));
            ensure!(
                known,
                "acquired under {tokens:?}, neither {first} nor {holder_token}"
            );
        }
    }
    duel.end(&Circumstances::default().frozen("b")).map(drop)
}

/// Freezes host `b` until the store has ended its leases.
fn freeze_b_until_its_entries_are_deleted(duel: &Duel) -> Result<()> {
    duel.b.stop()?;
    std::thread::sleep(TTL);
    for job in [PULSE, LEDGER] {
        wait_queue(&duel.etcd, job, "the holder alone", |queue| {
            queue.len() == 1
        })?;
    }
    Ok(())
}

/// Host `b` runs under entries that exist now, made after the one under the lease in `old`.
fn under_another_lease(duel: &Duel, starts: &[Event], old: &str) -> Result<()> {
    for start in starts {
        let job = start.job().unwrap_or_default();
        let key = duel
            .etcd
            .wait_holder(&lock_prefix(job), crate::scene::SLACK)?;
        ensure!(
            lease_of(&key) != lease_of(old),
            "{job} is held under the lease that ended: {key}"
        );
        ensure!(
            token(start)? == create_revision(&duel.etcd, &key)?,
            "{start} is not under {key}"
        );
        let acquired = since(&duel.b, 0, job, "acquired");
        ensure!(
            acquired.len() == 1,
            "{job} was acquired more than once: {acquired:?}"
        );
    }
    runs(&duel.b, 0, PULSE).map(drop)
}
