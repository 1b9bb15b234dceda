//! A waiter whose place is taken away: it logs that, joins the queue again and gets the lock in the end.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::{ENTRIES, LOCK, SLACK, change, lease_of, writer};
use leasehold_tests::command::leasehold;

on_every_store!(
    a_waiter_whose_entry_is_deleted_queues_again,
    a_waiter_whose_lease_is_revoked_queues_again,
);

fn loses_its_place(version: Version, revoked: bool) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hold = format!("{ENTRIES}maintenance");
    change(&etcd, &["put", &hold, "by hand"])?;
    let config = writer("host-a", &etcd)?;
    let mut host = HostProcess::start(&config)?;
    host.wait_for(SLACK, |event| event.is("waiting"))?;
    let first = place(&etcd, &hold)?;

    let mark = host.mark();
    let went = if revoked {
        change(&etcd, &["lease", "revoke", lease_of(&first)?])?
    } else {
        change(&etcd, &["del", &first])?
    };
    let told = host.wait_after(mark, SLACK, |event| event.is("backoff"))?;
    println!("{version:?}: {told}");
    let reason = told.reason().context("a pause without a reason")?;
    ensure!(reason.contains(LOCK), "{reason}");
    if !revoked {
        ensure!(
            reason.contains("removed by another client") && reason.contains(&went.to_string()),
            "{reason}"
        );
    }
    host.wait_after(mark, SLACK, |event| event.is("waiting"))?;
    place(&etcd, &hold)?;

    change(&etcd, &["del", &hold])?;
    let acquired = host.wait_after(mark, SLACK, |event| event.is("acquired"))?;
    ensure!(acquired.token() > Some(went), "{acquired}");
    // Its records exist again too, though the lease that carried them may have ended.
    eventually(SLACK, "the host to be known again", || {
        let output = leasehold(&config, &["status", "--format", "json"])?;
        let status: Value = serde_json::from_str(&output.stdout)?;
        ensure!(status["hosts"][0]["host"] == "host-a", "{status}");
        ensure!(status["jobs"][0]["state"] == "running", "{status}");
        Ok(())
    })?;
    host.term()?;
    ensure!(host.wait_exit(SLACK)?.code() == Some(0));
    Ok(())
}

/// The one entry behind the hold.
fn place(etcd: &Etcd, hold: &str) -> Result<String> {
    eventually(SLACK, "the host's place behind the hold", || {
        let queue = etcd.queue(ENTRIES)?;
        match queue.as_slice() {
            [first, own] if first == hold => Ok(own.clone()),
            other => anyhow::bail!("the queue is {other:?}"),
        }
    })
}

fn a_waiter_whose_entry_is_deleted_queues_again(version: Version) -> Result<()> {
    loses_its_place(version, false)
}

fn a_waiter_whose_lease_is_revoked_queues_again(version: Version) -> Result<()> {
    loses_its_place(version, true)
}
