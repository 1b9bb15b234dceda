//! Draining a host: others take its jobs over, and it ends or stands by.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{SLACK, beating, count, end_host, host, next, order, token};

on_every_store!(
    a_drained_host_ends_and_another_takes_over,
    a_drained_host_that_is_kept_stands_by,
);

fn a_drained_host_ends_and_another_takes_over(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (config_a, config_b) = (host("a", &etcd, beating)?, host("b", &etcd, beating)?);
    let mut a = HostProcess::start(&config_a)?;
    let first = next(&a, 0, "run-started")?;
    let mut b = HostProcess::start(&config_b)?;
    next(&b, 0, "waiting")?;
    let told = order(&config_b, &["drain", "a", "--why", "new kernel"])?;
    ensure!(
        told.contains("goes on to its end (--stop would end it)"),
        "{told}"
    );
    ensure!(count(&a, "run-ended") == 0, "a drain alone ended the run");
    order(&config_b, &["drain", "a", "--stop"])?;
    let over = next(&b, 0, "run-started")?;
    ensure!(token(&over)? > token(&first)?, "{over} after {first}");
    let status = a.wait_exit(SLACK)?;
    ensure!(status.code() == Some(0), "{status}: {}", a.stderr());
    let stopping = next(&a, 0, "host-stopping")?;
    ensure!(
        stopping
            .reason()
            .is_some_and(|why| why.starts_with("drained by")),
        "{stopping}"
    );

    // Started again, it stands by until it is undrained.
    let mut again = HostProcess::start(&config_a)?;
    let drained = next(&again, 0, "drained")?;
    ensure!(drained.value()["ends"] == false, "{drained}");
    next(&again, 0, "standing-back")?;
    ensure!(count(&again, "waiting") == 0, "it joined the queue");
    order(&config_b, &["undrain", "a"])?;
    next(&again, 0, "undrained")?;
    next(&again, 0, "waiting")?;
    end_host(&mut b)?;
    next(&again, 0, "run-started")?;
    end_host(&mut again)
}

fn a_drained_host_that_is_kept_stands_by(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let config = host("a", &etcd, beating)?;
    let mut a = HostProcess::start(&config)?;
    next(&a, 0, "run-started")?;
    let told = order(&config, &["drain", "a", "--keep", "--stop"])?;
    ensure!(told.contains("goes on without runs"), "{told}");
    next(&a, 0, "standing-back")?;
    let mark = a.mark();
    order(&config, &["undrain", "a"])?;
    next(&a, mark, "run-started")?;
    end_host(&mut a)
}
