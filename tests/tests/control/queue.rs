//! Pauses of jobs that wait for their lock, or that keep it between runs.

use std::fs;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wat_plugins::typed_job;

use crate::{JOB, beating, count, end_host, host, next, order, wait_queue};

on_every_store!(
    a_paused_job_leaves_the_queue,
    a_pause_gives_a_kept_lock_back,
);

/// Fails on the mutant "a pause is ignored in the queue".
fn a_paused_job_leaves_the_queue(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (config_a, config_b) = (host("a", &etcd, beating)?, host("b", &etcd, beating)?);
    let mut a = HostProcess::start(&config_a)?;
    next(&a, 0, "run-started")?;
    let mut b = HostProcess::start(&config_b)?;
    next(&b, 0, "waiting")?;
    wait_queue(&etcd, 2)?;
    order(&config_a, &["pause", JOB])?;
    next(&b, 0, "standing-back")?;
    wait_queue(&etcd, 1)?;
    ensure!(count(&a, "run-ended") == 0, "the run under way ended");
    let mark = b.mark();
    order(&config_a, &["resume", JOB])?;
    next(&b, mark, "waiting")?;
    wait_queue(&etcd, 2)?;
    end_host(&mut a)?;
    next(&b, mark, "run-started")?;
    end_host(&mut b)
}

/// The core of a typed job that returns at once and asks to run again under the same grant, half a second later.
const AGAIN: &str = r#"(core module $m
        (memory (export "memory") 1)
        ;; ok, again-in, 500 ms
        (data (i32.const 520) "\01\00\00\00\00\00\00\00\f4\01")
        (func (export "run") (result i32) (i32.const 512)))
    (core instance $i (instantiate $m))"#;

fn a_pause_gives_a_kept_lock_back(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let dir = tempfile::tempdir()?;
    let again = dir.path().join("again.wasm");
    fs::write(&again, typed_job(AGAIN, "$i")?)?;
    let config = host("a", &etcd, |job| job.plugin(&again))?;
    let mut a = HostProcess::start(&config)?;
    next(&a, 0, "run-ended")?;
    order(&config, &["pause", JOB])?;
    next(&a, 0, "released")?;
    wait_queue(&etcd, 0)?;
    let mark = a.mark();
    order(&config, &["resume", JOB])?;
    next(&a, mark, "run-started")?;
    // Asked to stop, it gives the lock back in the pause between two runs as well.
    let mark = a.mark();
    order(&config, &["stop", JOB])?;
    next(&a, mark, "released")?;
    next(&a, mark, "acquired")?;
    end_host(&mut a)
}
