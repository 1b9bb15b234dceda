//! When a lease's end is counted from: the moment a renewal was sent, not the moment its answer came.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode, Trigger};
use leasehold_tests::wait::boot_ns;

use crate::scene::{
    Duel, LEDGER, MARGIN, PULSE, SLACK, ended_lost, lease_of, next, ns, two_jobs_for,
};

on_every_store!(a_late_answer_to_a_renewal_does_not_move_the_deadline);

/// Long, so that an answer may be late and no other renewal is sent meanwhile: that happens after a sixth of it.
const LONG_TTL: Duration = Duration::from_secs(7);

/// Delay of the answer. The rest of a sixth of the TTL is slack for a busy machine.
const LATE: Duration = Duration::from_millis(500);

/// Promise P1. Fails on the mutant "deadline from the receipt of the answer", see scripts/mutants.
fn a_late_answer_to_a_renewal_does_not_move_the_deadline(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let a = two_jobs_for("a", &proxy.endpoint(), LONG_TTL)?;
    let b = two_jobs_for("b", &etcd.endpoint(), LONG_TTL)?;
    let duel = Duel::with(etcd, &a, &b, &[PULSE, LEDGER])?;

    let renewal = renewal(&duel.holder(PULSE)?)?;
    // The first on a stream is the opening's, whose answer moves nothing.
    proxy.arm(Trigger::Contains(renewal.clone()), Mode::Pass);
    proxy.wait_fired(SLACK)?;
    std::thread::sleep(Duration::from_millis(300));
    let armed_ns = boot_ns();
    proxy.arm(Trigger::Contains(renewal.clone()), Mode::DropResponses);
    proxy.wait_fired(SLACK)?;
    let sent_before_ns = boot_ns();
    std::thread::sleep(LATE);
    // The answer comes, and its proof can be asked for. No later renewal is answered.
    proxy.arm(Trigger::Contains(renewal), Mode::DropBoth);
    proxy.set(Mode::Pass);

    let lease = LONG_TTL.mul_f64(0.99).saturating_sub(MARGIN);
    for job in [PULSE, LEDGER] {
        let ended = next(&duel.a, 0, job, "run-ended")?;
        ended_lost(&ended)?;
        let deadline_ns = ended
            .deadline_ns()
            .context("a run ended without a deadline")?;
        ensure!(
            deadline_ns >= armed_ns + ns(lease),
            "the late answer was not taken in, so this shows nothing: armed at {armed_ns}, {ended}"
        );
        ensure!(
            deadline_ns <= sent_before_ns + ns(lease),
            "the deadline is later than a renewal sent before {sent_before_ns} allows: {ended}"
        );
    }
    duel.b_takes_over()?;
    proxy.set(Mode::Pass);
    duel.end(&Circumstances::default()).map(drop)
}

/// A renewal on the wire: field 1 of the request, the lease as a variable-length number.
fn renewal(key: &str) -> Result<Vec<u8>> {
    let mut lease =
        u64::from_str_radix(lease_of(key), 16).with_context(|| format!("no lease in {key}"))?;
    let mut bytes = vec![0x08];
    while lease >= 0x80 {
        bytes.push((lease & 0x7f) as u8 | 0x80);
        lease >>= 7;
    }
    bytes.push(lease.to_le_bytes()[0]);
    // A length before it distinguishes a renewal from the same bytes inside a longer request.
    let length = u8::try_from(bytes.len()).context("a number of at most ten bytes")?;
    bytes.insert(0, length);
    Ok(bytes)
}
