//! Notifications for the service manager, received as systemd receives them.

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use tempfile::TempDir;

use crate::SLACK;

/// The socket of a service manager.
struct Manager {
    dir: TempDir,
    socket: UnixDatagram,
    /// The messages so far, each as its lines.
    messages: Vec<Vec<String>>,
}

impl Manager {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("making a folder for a socket")?;
        let socket = UnixDatagram::bind(dir.path().join("notify"))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self {
            dir,
            socket,
            messages: Vec::new(),
        })
    }

    /// The variables by which a process finds it; it wants a sign of life each 300 ms.
    fn environment(&self) -> [(&'static str, OsString); 2] {
        let socket = self.dir.path().join("notify");
        [
            ("NOTIFY_SOCKET", socket.into()),
            ("WATCHDOG_USEC", "900000".into()),
        ]
    }

    /// Receives one message, if one comes soon.
    fn receive(&mut self) -> Option<&[String]> {
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        self.messages
            .push(text.lines().map(str::to_owned).collect());
        self.messages.last().map(Vec::as_slice)
    }

    /// Receives until a message with this line.
    fn wait_for(&mut self, line: &str) -> Result<Vec<String>> {
        let began = Instant::now();
        while began.elapsed() < SLACK {
            if let Some(message) = self.receive()
                && message.iter().any(|own| own == line)
            {
                return Ok(message.to_vec());
            }
        }
        bail!("no {line} in {:?}", self.messages);
    }

    /// The stages so far, without signs of life and texts.
    fn stages(&self) -> Vec<&str> {
        let first = self.messages.iter().filter_map(|lines| lines.first());
        first
            .map(String::as_str)
            .filter(|line| !line.starts_with("STATUS=") && *line != "WATCHDOG=1")
            .collect()
    }
}

#[test]
fn stages_and_signs_of_life_reach_the_service_manager() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let heartbeat = guests::heartbeat()?;
    let config = config_for("host-a", &etcd)
        .grace("500ms")
        .job("pulse", |job| {
            job.plugin(&heartbeat).args(&["100000", "20"])
        });
    let mut manager = Manager::new()?;
    let mut host = HostProcess::start_with_env(&config, &manager.environment())?;
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
    ensure!(manager.stages() == wanted, "{:?}", manager.messages);
    Ok(())
}

#[test]
fn host_without_its_store_is_not_ready_and_shows_why() -> Result<()> {
    let heartbeat = guests::heartbeat()?;
    let etcd = Etcd::start(Version::V3_5)?;
    let config = config_for("host-a", &etcd).job("pulse", |job| job.plugin(&heartbeat));
    drop(etcd);
    let mut manager = Manager::new()?;
    let mut host = HostProcess::start_with_env(&config, &manager.environment())?;
    manager.wait_for("STATUS=connecting to the store")?;
    host.wait_for(SLACK, |event| event.is("store-trouble"))?;
    host.term()?;
    manager.wait_for("STOPPING=1")?;
    host.wait_exit(SLACK)?;
    while manager.receive().is_some() {}
    ensure!(manager.stages() == ["STOPPING=1"], "{:?}", manager.messages);
    Ok(())
}
