//! A network whose every chunk arrives late by chance, up to a whole TTL.

use anyhow::{Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::{boot_ns, eventually};

use crate::scene::{Duel, LEDGER, PULSE, SLACK, TTL, goes_on, ns, one_job, since};

on_every_store!(jitter_up_to_the_ttl_breaks_no_promise);

/// Both hosts lose and regain their locks as chance has it. The verdict at the end is the point.
fn jitter_up_to_the_ttl_breaks_no_promise(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (for_a, for_b) = (
        FaultProxy::start(&etcd.endpoint())?,
        FaultProxy::start(&etcd.endpoint())?,
    );
    let duel = Duel::through(etcd, &for_a.endpoint(), &for_b.endpoint())?;
    for proxy in [&for_a, &for_b] {
        proxy.set(Mode::Jitter(TTL));
    }
    std::thread::sleep(TTL * 2);
    for proxy in [&for_a, &for_b] {
        proxy.set(Mode::Pass);
    }
    let well_ns = boot_ns();
    for job in [PULSE, LEDGER] {
        eventually(SLACK, &format!("an effect of {job}"), || {
            let after = |event: &leasehold_tests::events::Event| {
                event.is("guest") && event.job() == Some(job) && event.boot_ns() > Some(well_ns)
            };
            ensure!(duel.a.has(after) || duel.b.has(after), "none");
            Ok(())
        })?;
    }
    duel.end(&Circumstances::default()).map(drop)
}

/// On one store: the patience is the client's own.
#[test]
fn jitter_well_below_a_renewals_patience_costs_nothing() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let (a, b) = (
        one_job("a", &proxy.endpoint())?,
        one_job("b", &etcd.endpoint())?,
    );
    let duel = Duel::with(etcd, &a, &b, &[PULSE])?;
    let marks = (duel.a.mark(), duel.b.mark());
    // There and back in a quarter of the TTL at most.
    proxy.set(Mode::Jitter(TTL.mul_f64(0.125)));
    goes_on(&duel.a, &duel.first_run(PULSE)?, boot_ns() + ns(TTL * 2))?;
    ensure!(since(&duel.b, 0, PULSE, "acquired").is_empty());
    duel.saw_none_of(&["lock-lost", "run-ended", "acquired"], PULSE, marks)?;
    proxy.set(Mode::Pass);
    duel.end(&Circumstances::default()).map(drop)
}
