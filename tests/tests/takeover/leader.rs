//! A cluster of three whose leader is paused: the hosts were connected to the leader.

use std::time::Duration;

use anyhow::Result;
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_etcd;
use leasehold_tests::wait::boot_ns;

use crate::scene::{Duel, PULSE, create_revision, goes_on, ns, one_job_for};

/// Long enough for an election, and for a host to notice that a member does not answer.
const LONG_TTL: Duration = Duration::from_secs(12);

// The embedded store is one node: no other could lead.
on_etcd!(a_paused_leader_keeps_the_holders_run_and_waiters_place);

/// Fails when the hosts know the leader only.
fn a_paused_leader_keeps_the_holders_run_and_waiters_place(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).nodes(3).start()?;
    let leader = etcd.leader()?;
    let mut endpoints = etcd.endpoints();
    endpoints.swap(0, leader);
    let config = |host| -> Result<_> {
        Ok(one_job_for(host, &endpoints[0], LONG_TTL)?.endpoints(&endpoints))
    };
    let mut duel = Duel::with(etcd, &config("a")?, &config("b")?, &[PULSE])?;
    let place = duel.waiter(PULSE)?;
    let promised = create_revision(&duel.etcd, &place)?;
    let marks = (duel.a.mark(), duel.b.mark());
    let still_ns = boot_ns();
    duel.etcd.node(leader)?.process()?.stop()?;
    // Longer than a whole lease: renewals must have used another member.
    goes_on(&duel.a, &duel.first_run(PULSE)?, still_ns + ns(LONG_TTL))?;
    // It is never resumed. A resumed one may revoke leases whose renewals it has missed (seen once on 3.4.23); to the
    // holder that is a forced removal like any other.
    duel.etcd.node(leader)?.kill()?;
    duel.saw_none_of(&["lock-lost", "run-ended", "acquired"], PULSE, marks)?;
    duel.b_gets_its_place(PULSE, &place, promised)?;
    duel.end(&Circumstances::default()).map(drop)
}
