//! Wall clocks that are an hour wrong, and that jump by hours while locks are held: nothing of it is a deadline's
//! business. The clocks are the hosts' alone, so this runs on one store.

use anyhow::{Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::boot_ns;

use crate::scene::{
    PULSE, TTL, create_revision, end_host, goes_on, judge, lock_prefix, next, ns, one_job, runs,
    since, token, wait_queue,
};

/// An hour, in seconds.
const HOUR: i64 = 3_600;

#[test]
fn hosts_with_jumping_wall_clocks_keep_and_hand_over_locks() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let (mut ahead, ahead_clock) =
        HostProcess::start_on_clock(HOUR, &one_job("ahead", &etcd.endpoint())?)?;
    let first = runs(&ahead, 0, PULSE)?;
    let (mut behind, behind_clock) =
        HostProcess::start_on_clock(-HOUR, &one_job("behind", &etcd.endpoint())?)?;
    next(&behind, 0, PULSE, "waiting")?;
    let queue = wait_queue(&etcd, PULSE, "two entries", |queue| queue.len() == 2)?;
    let promised = create_revision(&etcd, &queue[1])?;
    let mark = ahead.mark();
    for (ahead_by, behind_by) in [(-HOUR, HOUR), (2 * HOUR, -2 * HOUR)] {
        ahead_clock.set(ahead_by)?;
        behind_clock.set(behind_by)?;
        // Past the end of every lease granted before the jump.
        goes_on(&ahead, &first, boot_ns() + ns(TTL))?;
    }
    for name in ["lock-lost", "run-ended", "acquired"] {
        let seen = since(&ahead, mark, PULSE, name);
        ensure!(seen.is_empty(), "{seen:?}");
    }
    ensure!(
        etcd.queue(&lock_prefix(PULSE))? == queue,
        "the queue changed"
    );
    end_host(&mut ahead)?;
    let successor = runs(&behind, 0, PULSE)?;
    ensure!(token(&successor)? == promised, "{successor}");
    end_host(&mut behind)?;
    judge(&[&ahead, &behind], &Circumstances::default()).map(drop)
}
