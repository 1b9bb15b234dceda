//! A host with a ledger at work under a lock of its own, beside which hostile input is tried.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use leasehold_tests::bank;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;

use crate::SLACK;

/// The ledger's job and lock.
const LEDGER: &str = "ledger";

/// One host that runs a ledger without end, and takes plugins from a folder.
pub(crate) struct Neighbour {
    pub(crate) etcd: Etcd,
    pub(crate) host: HostProcess,
    run: String,
    mark: usize,
}

impl Neighbour {
    /// Starts the host and waits until the ledger's run is under way. `more` adds hostile jobs and limits.
    pub(crate) fn start(more: impl FnOnce(Config) -> Config) -> Result<Self> {
        Self::start_on(Etcd::start(Version::V3_5)?, more)
    }

    /// As [`Neighbour::start`], on this store.
    pub(crate) fn start_on(etcd: Etcd, more: impl FnOnce(Config) -> Config) -> Result<Self> {
        Self::launch(etcd, more, |config| {
            HostProcess::start_in_prepared(config, folder)
        })
    }

    /// As [`Neighbour::start`], with the host's standard error written to `stderr`.
    pub(crate) fn start_with_stderr(
        stderr: Option<Stdio>,
        more: impl FnOnce(Config) -> Config,
    ) -> Result<Self> {
        Self::launch(Etcd::start(Version::V3_5)?, more, |config| match stderr {
            Some(stderr) => HostProcess::start_with_stderr(config, stderr, folder),
            None => HostProcess::start_in_prepared(config, folder),
        })
    }

    /// As [`Neighbour::start`], with a program that ends up as the host, in whose directory it makes `plugins`.
    pub(crate) fn start_program(
        program: &Path,
        more: impl FnOnce(Config) -> Config,
    ) -> Result<Self> {
        Self::launch(Etcd::start(Version::V3_5)?, more, |config| {
            HostProcess::start_program(program, config)
        })
    }

    fn launch(
        etcd: Etcd,
        more: impl FnOnce(Config) -> Config,
        start: impl FnOnce(&Config) -> Result<HostProcess>,
    ) -> Result<Self> {
        let ledger = guests::ledger()?;
        let config = config_for("host-a", &etcd)
            .grace("500ms")
            .plugins("dir", "plugins")
            .job(LEDGER, |job| {
                let job = job.plugin(&ledger).ttl("6s").allow_kv(&["ledger/"]);
                job.config("pause_ms", 20).config("forever", true)
            });
        let host = start(&more(config))?;
        let started = host.wait_for(SLACK, |event| {
            event.is("run-started") && event.job() == Some(LEDGER)
        })?;
        let run = started.run().context("a run without an id")?.to_owned();
        let mark = host.mark();
        Ok(Self {
            etcd,
            host,
            run,
            mark,
        })
    }

    /// Puts a file into the folder as a whole, as `mv` does.
    pub(crate) fn drop_in(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.host.dir().join("plugins");
        let new = folder.join(format!(".{name}.new"));
        std::fs::write(&new, bytes)?;
        std::fs::rename(&new, folder.join(name)).context("moving a file into place")
    }

    /// Asserts that the ledger's first run still holds its lock and writes, and that its accounts add up; then ends the host with code 0.
    pub(crate) fn untouched(mut self) -> Result<Vec<Event>> {
        self.goes_on()?;
        self.host.term()?;
        let code = self.host.wait_exit(SLACK)?.code();
        ensure!(
            code == Some(0),
            "it ended with {code:?}: {}",
            self.host.stderr()
        );
        Ok(self.host.events())
    }

    /// Asserts that the ledger's first run still holds its lock and writes, and that its accounts add up.
    pub(crate) fn goes_on(&self) -> Result<()> {
        let revision = self.balance_revision()?;
        leasehold_tests::wait::eventually(SLACK, "the ledger to write again", || {
            let now = self.balance_revision()?;
            ensure!(now > revision, "still at revision {now}");
            Ok(())
        })?;
        bank::audit(&self.etcd)?;
        let events = self.host.events();
        let hurt: Vec<_> = events
            .iter()
            .skip(self.mark)
            .filter(|event| event.job() == Some(LEDGER))
            .filter(|event| {
                event.is("lock-lost") || event.is("run-ended") || event.is("run-started")
            })
            .collect();
        ensure!(hurt.is_empty(), "run {} was touched: {hurt:?}", self.run);
        Ok(())
    }

    /// The revision of the ledger's latest write.
    fn balance_revision(&self) -> Result<i64> {
        let text =
            self.etcd
                .etcdctl(&["get", "/leasehold/kv/ledger/", "--prefix", "-w", "json"])?;
        let read: serde_json::Value = serde_json::from_str(&text).context("reading the ledger")?;
        let kvs = read["kvs"].as_array().context("the ledger has no keys")?;
        let latest = kvs.iter().filter_map(|kv| kv["mod_revision"].as_i64());
        latest.max().context("the ledger was never written")
    }
}

/// Makes a folder for plugins in a host's directory.
fn folder(dir: &Path) -> Result<()> {
    std::fs::create_dir(dir.join("plugins")).context("making a folder for plugins")
}

/// A file of `files/`.
pub(crate) fn file(name: &str) -> Result<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hostile/files")
        .join(name);
    std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
}
