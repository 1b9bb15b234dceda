//! A job that writes more keys than it may.

use anyhow::{Result, ensure};
use leasehold_tests::guests;

use crate::SLACK;
use crate::neighbour::Neighbour;

const HOARDER: &str = "hoarder";

#[test]
fn a_job_fills_its_own_room_in_the_store_and_no_more() -> Result<()> {
    let ledger = guests::ledger()?;
    let beside = Neighbour::start(|config| {
        config.job(HOARDER, |job| {
            // The first is the need of its manifest; all its keys are under the second.
            let job = job.plugin(&ledger).allow_kv(&["ledger/", "hoard/"]);
            let job = job.config("prefix", "hoard/").config("accounts", 500);
            job.limit("kv_total", "16KiB")
        })
    })?;
    let ended = beside.host.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some(HOARDER)
    })?;
    let detail = ended.str("detail").unwrap_or_default();
    ensure!(
        detail.contains("raise `kv_total` in [jobs.hoarder.limits]"),
        "it ended with {ended:?}"
    );
    let prefix = "/leasehold/kv/hoard/";
    let keys = beside
        .etcd
        .etcdctl(&["get", prefix, "--prefix", "--keys-only"])?;
    let keys = keys.lines().filter(|line| !line.is_empty()).count();
    // Each counts for 256 bytes and its own.
    ensure!((1..64).contains(&keys), "it wrote {keys} keys");
    // The host ends with the code of a job that failed.
    beside.goes_on()
}
