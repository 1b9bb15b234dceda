//! What is measured: a server process with its data on the disk. Nothing here measures.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_client::Client;
use leasehold_tests::binaries::{self, Version};
use leasehold_tests::ports::Port;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Etcd,
    Durable,
    Memory,
}

/// A server process with data of its own on the disk; killed when dropped.
pub(super) struct Server {
    process: Child,
    pub(super) endpoint: String,
    _ports: Vec<Port>,
    _dir: TempDir,
}

impl Server {
    pub(super) fn start(runtime: &Runtime, kind: Kind) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("bench-store-")
            .tempdir_in(binaries::workspace().join("target"))?;
        let ports = vec![Port::claim()?, Port::claim()?];
        let address = ports[0].address();
        let endpoint = format!("http://{address}");
        let mut command = match kind {
            Kind::Etcd => {
                let mut etcd = Command::new(Version::V3_5.etcd()?);
                let peer = format!("http://{}", ports[1].address());
                etcd.arg("--data-dir").arg(dir.path().join("data"));
                etcd.args(["--listen-client-urls", &endpoint]);
                etcd.args(["--advertise-client-urls", &endpoint]);
                etcd.args(["--listen-peer-urls", &peer, "--log-level", "error"]);
                etcd
            }
            Kind::Durable | Kind::Memory => {
                let mut ours = Command::new(binaries::leasehold()?);
                ours.args(["store", "serve", "--listen", &address.to_string()]);
                if kind == Kind::Memory {
                    ours.arg("--memory");
                } else {
                    ours.arg("--dir").arg(dir.path().join("data"));
                }
                ours
            }
        };
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {kind:?}"))?;
        let server = Self {
            process,
            endpoint,
            _ports: ports,
            _dir: dir,
        };
        let patience = Instant::now();
        while runtime.block_on(connect(&server.endpoint)).is_err() {
            ensure!(
                patience.elapsed() < Duration::from_secs(30),
                "{kind:?} does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Resident memory, in MiB.
    pub(super) fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("no VmRSS")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Connects, and reads once: connecting alone proves nothing.
pub(super) async fn connect(endpoint: &str) -> Result<Client> {
    let mut client = Client::connect([endpoint], None).await?;
    client.get("/bench/greeting", None).await?;
    Ok(client)
}
