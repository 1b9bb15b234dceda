//! Notifications for the service manager, received as systemd receives them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::service_manager::ServiceManager;

use crate::SLACK;

/// Time in which the service manager wants three signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_millis(900);

#[test]
fn stages_and_signs_of_life_reach_the_service_manager() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let heartbeat = guests::heartbeat()?;
    let config = config_for("host-a", &etcd)
        .grace("500ms")
        .job("pulse", |job| {
            job.plugin(&heartbeat).args(&["100000", "20"])
        });
    let mut manager = ServiceManager::new()?;
    let mut host = HostProcess::start_with_env(&config, &manager.environment(SIGN_OF_LIFE))?;
    manager.wait_for("READY=1")?;
    manager.wait_for("WATCHDOG=1")?;
    host.hangup()?;
    let reloading = manager.wait_for("RELOADING=1")?;
    let since = reloading
        .iter()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let since: u64 = since.context("no time of the reload")?.parse()?;
    ensure!(since > 0, "{reloading:?}");
    manager.wait_for("READY=1")?;
    manager.wait_for("WATCHDOG=1")?;
    host.term()?;
    manager.wait_for("STOPPING=1")?;
    ensure!(
        host.wait_exit(SLACK)?.code() == Some(0),
        "{}",
        host.stderr()
    );
    while manager.receive().is_some() {}
    let wanted = ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"];
    ensure!(manager.stages() == wanted, "{:?}", manager.messages());
    Ok(())
}

#[test]
fn host_without_its_store_is_not_ready_and_shows_why() -> Result<()> {
    let heartbeat = guests::heartbeat()?;
    let etcd = Etcd::start(Version::V3_5)?;
    let config = config_for("host-a", &etcd).job("pulse", |job| job.plugin(&heartbeat));
    drop(etcd);
    let mut manager = ServiceManager::new()?;
    let mut host = HostProcess::start_with_env(&config, &manager.environment(SIGN_OF_LIFE))?;
    manager.wait_for("STATUS=connecting to the store")?;
    host.wait_for(SLACK, |event| event.is("store-trouble"))?;
    host.term()?;
    manager.wait_for("STOPPING=1")?;
    host.wait_exit(SLACK)?;
    while manager.receive().is_some() {}
    ensure!(
        manager.stages() == ["STOPPING=1"],
        "{:?}",
        manager.messages()
    );
    Ok(())
}
