//! `every` with a lock of another holder: runs are skipped and logged, and start again once the lock is free.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{SLACK, ends_with, reason};

on_every_store!(a_contended_tick_is_skipped_logged_and_leaves_no_trace);

fn a_contended_tick_is_skipped_logged_and_leaves_no_trace(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hold = "/leasehold/locks/hello/maintenance";
    etcd.etcdctl(&["put", hold, "by hand"])?;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd).job("hello", |job| {
        let job = job.plugin(&hello).every("200ms").wait("never");
        job.args(&["1", "0"])
    });
    let mut host = HostProcess::start(&config)?;
    let mut mark = 0;
    for _ in 0..3 {
        let skipped = host.wait_after(mark, SLACK, |event| event.is("skipped"))?;
        ensure!(reason(&skipped)?.contains(hold), "{skipped}");
        ensure!(etcd.queue("/leasehold/locks/hello/")? == [hold]);
        mark = host.mark();
    }
    let told = host.events();
    let waited = told.iter().any(|event| event.is("waiting"));
    ensure!(!waited, "it waited though it was never to");
    etcd.etcdctl(&["del", hold])?;
    // Its times go on as if nothing had been: two runs, each with a grant of its own.
    let first = host.wait_after(mark, SLACK, |event| event.is("acquired"))?;
    let second = host.wait_after(mark, SLACK, |event| {
        event.is("acquired") && event.token() > first.token()
    })?;
    let started = host.wait_for(SLACK, |event| {
        event.is("run-started") && event.token() == second.token()
    })?;
    ensure!(started.str("trigger") == Some("schedule"), "{started}");
    host.term()?;
    ends_with(&mut host, 0)
}
