//! Servers to measure: a process with its data on the disk, or a store in this process. Nothing here measures.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use leasehold_store::{Store, StoreOptions};
use leasehold_tests::binaries::{self, Version};
use leasehold_tests::ports::Port;
use leasehold_tests::process;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::reach::Reach;

/// Kind of a measured server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Etcd,
    Durable,
    Memory,
}

/// A server process with data of its own on the disk; killed when dropped.
pub(super) struct Server {
    process: Child,
    pub(super) reach: Reach,
    _ports: Vec<Port>,
    _dir: TempDir,
}

impl Server {
    pub(super) fn start(runtime: &Runtime, kind: Kind) -> Result<Self> {
        let dir = directory()?;
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
            reach: Reach::Endpoint(endpoint),
            _ports: ports,
            _dir: dir,
        };
        let patience = Instant::now();
        while runtime.block_on(server.reach.client()).is_err() {
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
        let kib = u32::try_from(process::resident(self.process.id())?)?;
        Ok(f64::from(kib) / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A store in this process, as hosts embed it.
pub(super) struct Inside {
    store: Store,
    pub(super) reach: Reach,
    _dir: TempDir,
}

impl Inside {
    pub(super) fn open(runtime: &Runtime, kind: Kind) -> Result<Self> {
        let dir = directory()?;
        let options = match kind {
            Kind::Memory => StoreOptions::memory(),
            Kind::Durable => StoreOptions::directory(dir.path().join("data")),
            Kind::Etcd => bail!("etcd is a process of its own"),
        };
        let store = runtime.block_on(Store::open(options))?;
        Ok(Self {
            reach: Reach::Inside(store.connector()),
            store,
            _dir: dir,
        })
    }

    pub(super) fn close(self, runtime: &Runtime) {
        runtime.block_on(self.store.close());
    }
}

/// On the disk that this was built on.
fn directory() -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("bench-store-")
        .tempdir_in(binaries::workspace().join("target"))?;
    Ok(dir)
}
