//! A store without free space: it refuses writes, and still renews leases and deletes.
//!
//! Only etcd has such a quota; a full disk under the embedded store is in `endurance`.

use anyhow::{Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_etcd;
use leasehold_tests::wait::{boot_ns, eventually};

use crate::scene::{
    Duel, LEDGER, PULSE, SLACK, TTL, create_revision, goes_on, ns, since, two_jobs,
};
use leasehold_tests::bank;

on_etcd!(without_space_locks_are_kept_and_handed_over_writes_fail);

/// Little more than an empty store takes.
const QUOTA: &str = "--quota-backend-bytes=1000000";

/// Less than the longest command line.
const BALLAST: usize = 100_000;

/// Puts until the store refuses.
fn fill(etcd: &Etcd) -> Result<()> {
    let ballast = "x".repeat(BALLAST);
    for number in 0..100 {
        let key = format!("/elsewhere/ballast-{number}");
        if let Err(refusal) = etcd.etcdctl(&["put", &key, &ballast]) {
            let why = format!("{refusal:#}");
            ensure!(why.contains("database space exceeded"), "{why}");
            return Ok(());
        }
    }
    anyhow::bail!("the store took everything")
}

/// Makes room as an operator does: compacts, defragments and lifts the alarm.
fn make_room(etcd: &Etcd) -> Result<()> {
    etcd.etcdctl(&["del", "--prefix", "/elsewhere/"])?;
    etcd.compact()?;
    etcd.etcdctl(&["defrag"])?;
    etcd.etcdctl(&["alarm", "disarm"])?;
    ensure!(etcd.etcdctl(&["alarm", "list"])?.is_empty());
    Ok(())
}

fn without_space_locks_are_kept_and_handed_over_writes_fail(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).arg(QUOTA).start()?;
    let (a, b) = (
        two_jobs("a", &etcd.endpoint())?,
        two_jobs("b", &etcd.endpoint())?,
    );
    let mut duel = Duel::with(etcd, &a, &b, &[PULSE, LEDGER])?;
    let place = duel.waiter(PULSE)?;
    let promised = create_revision(&duel.etcd, &place)?;
    let marks = (duel.a.mark(), duel.b.mark());
    fill(&duel.etcd)?;
    let full_ns = boot_ns();
    // A run whose write is refused ends and is tried again; nothing of it is half done.
    let ended = duel.a.wait_after(marks.0, SLACK, |event| {
        event.is("run-ended") && event.job() == Some(LEDGER)
    })?;
    let detail = ended.str("detail").unwrap_or_default();
    ensure!(
        ended.outcome() == Some("retry") && detail.contains("space exceeded"),
        "{ended}"
    );
    // A run that writes nothing does not notice, beyond the end of every lease granted before.
    goes_on(&duel.a, &duel.first_run(PULSE)?, full_ns + ns(TTL * 2))?;
    duel.saw_none_of(&["lock-lost", "run-ended", "acquired"], PULSE, marks)?;
    let alarms = duel.etcd.etcdctl(&["alarm", "list"])?;
    ensure!(alarms.contains("NOSPACE"), "{alarms}");
    // A release is a deletion: the waiter gets its place while there is still no room.
    duel.b_gets_its_place(PULSE, &place, promised)?;

    make_room(&duel.etcd)?;
    let before = bank::audit(&duel.etcd)?;
    eventually(SLACK, "the ledger to go on", || {
        let now = bank::audit(&duel.etcd)?;
        ensure!(now > before, "{now} transfers, as before");
        Ok(())
    })?;
    let lost = since(&duel.b, marks.1, PULSE, "lock-lost");
    ensure!(lost.is_empty(), "{lost:?}");
    duel.end(&Circumstances::default()).map(drop)
}
