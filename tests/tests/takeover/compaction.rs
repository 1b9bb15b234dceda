//! Compaction of the history while a host holds and another waits.

use std::time::Duration;

use anyhow::Result;
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::boot_ns;

use crate::scene::{Duel, PULSE, TTL, create_revision, goes_on, ns, one_job};

on_every_store!(a_compaction_keeps_the_waiters_place_and_the_holders_token);

/// Both hosts lose their connections, and the history that they need is compacted before they are back.
fn a_compaction_keeps_the_waiters_place_and_the_holders_token(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let config = |host| one_job(host, &proxy.endpoint());
    let (a, b) = (config("a")?, config("b")?);
    let mut duel = Duel::with(etcd, &a, &b, &[PULSE])?;
    let place = duel.waiter(PULSE)?;
    let promised = create_revision(&duel.etcd, &place)?;
    let marks = (duel.a.mark(), duel.b.mark());
    for _ in 0..3 {
        // With and without connections that must be made again.
        duel.etcd.etcdctl(&["put", "/elsewhere", "a change"])?;
        duel.etcd.compact()?;
        proxy.set(Mode::Refuse);
        proxy.reset();
        duel.etcd
            .etcdctl(&["put", "/elsewhere", "another change"])?;
        duel.etcd.compact()?;
        proxy.set(Mode::Pass);
        std::thread::sleep(Duration::from_millis(400));
    }
    let compacted_ns = boot_ns();
    goes_on(&duel.a, &duel.first_run(PULSE)?, compacted_ns + ns(TTL))?;
    duel.saw_none_of(
        &["lock-lost", "run-ended", "acquired", "backoff"],
        PULSE,
        marks,
    )?;
    duel.b_gets_its_place(PULSE, &place, promised)?;
    duel.end(&Circumstances::default()).map(drop)
}
