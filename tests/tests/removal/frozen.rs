//! A holder that is frozen while it is forced out. It wakes up well before its deadline and in the middle of
//! a write, so only the store can refuse it.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{ENTRIES, SLACK, change, newest_write, writer};

on_every_store!(a_holder_replaced_while_frozen_writes_nothing_when_it_wakes);

fn a_holder_replaced_while_frozen_writes_nothing_when_it_wakes(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut host = HostProcess::start(&writer("host-a", &etcd)?)?;
    host.wait_for(SLACK, |event| {
        event.is("progress") && event.u64("done") >= Some(20)
    })?;
    let key = etcd.wait_holder(ENTRIES, SLACK)?;

    host.stop()?;
    let went = change(&etcd, &["del", &key])?;
    change(&etcd, &["put", &key, "stranger"])?;
    let mark = host.mark();
    host.cont()?;

    let ended = host.wait_after(mark, SLACK, |event| event.is("run-ended"))?;
    let detail = ended.str("detail").context("a loss without a reason")?;
    println!("{version:?}: {detail}");
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    ensure!(
        detail.contains("host-a") && detail.contains(&key) && detail.contains("by hand"),
        "{detail}"
    );
    // The stranger's hold keeps the host out, so every later write would be the loser's.
    host.wait_after(mark, SLACK, |event| event.is("waiting"))?;
    let newest = newest_write(&etcd)?;
    ensure!(
        newest < went,
        "the loser wrote at {newest}, after its removal at {went}"
    );
    // The stranger's key is not the host's to remove.
    host.term()?;
    ensure!(host.wait_exit(SLACK)?.code() == Some(0));
    let left = etcd.queue(ENTRIES)?;
    ensure!(left == [key], "{left:?} is left");
    Ok(())
}
