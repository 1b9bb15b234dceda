//! A plugin that brings its host's process down does so once.
//!
//! The host under test aborts when a guest prints a certain text, which only a build for tests does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{Config, config_for, ledger};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::printer;
use serde_json::Value;
use tempfile::TempDir;

use crate::SLACK;

/// The text that a host aborts on.
const LAST_WORDS: &str = "and down it goes";

/// One data directory and one folder of plugins, whichever process uses them.
struct Place {
    etcd: Etcd,
    dir: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("making a directory")?;
        std::fs::create_dir(dir.path().join("plugins")).context("making a folder for plugins")?;
        let etcd = Etcd::start(Version::V3_5)?;
        Ok(Self { etcd, dir })
    }

    fn config(&self) -> Result<Config> {
        let text = |name: &str| self.dir.path().join(name).to_string_lossy().into_owned();
        let ledger = ledger()?;
        Ok(config_for("host-a", &self.etcd)
            .host("data_dir", text("data"))
            .grace("500ms")
            .plugins("dir", text("plugins"))
            .job("ledger", |job| {
                let job = job.plugin(&ledger).ttl("2s").allow_kv(&["ledger/"]);
                job.config("pause_ms", 20).config("forever", true)
            }))
    }

    /// Starts a process and waits until its ledger is at work.
    fn start(&self) -> Result<HostProcess> {
        let armed = [("LEASEHOLD_TEST_ABORT_ON", OsString::from(LAST_WORDS))];
        let host = HostProcess::start_with_env(&self.config()?, &armed)?;
        host.wait_for(SLACK, |event| is_run_of(event, "ledger"))?;
        Ok(host)
    }

    /// Puts a guest that prints `text` into the folder.
    fn drop_in(&self, text: &str) -> Result<()> {
        let folder = self.dir.path().join("plugins");
        let new = folder.join(".guest.new");
        std::fs::write(&new, printer(text, 0)?)?;
        std::fs::rename(&new, folder.join("guest.wasm")).context("moving a file into place")
    }

    fn held(&self) -> Result<Vec<PathBuf>> {
        let dir = self.dir.path().join("data/quarantine");
        let entries = std::fs::read_dir(dir).context("listing the quarantine")?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    /// The outcomes of the runs of a job.
    fn outcomes(&self, job: &str) -> Result<Vec<String>> {
        let prefix = format!("/leasehold/runs/{job}/");
        let text = self
            .etcd
            .etcdctl(&["get", &prefix, "--prefix", "--print-value-only"])?;
        let records = text.lines().filter(|line| !line.is_empty());
        let outcomes = records.map(|line| {
            let record: Value = serde_json::from_str(line).context("reading a record")?;
            Ok(record["outcome"].as_str().unwrap_or_default().to_owned())
        });
        outcomes.collect()
    }
}

fn is_run_of(event: &Event, job: &str) -> bool {
    event.is("run-started") && event.job() == Some(job)
}

/// Checks that the ledger's run of this process continues.
fn ledger_is_untouched(host: &HostProcess) -> Result<()> {
    let events = host.events();
    let ends = events.iter().filter(|event| {
        event.job() == Some("ledger") && (event.is("run-ended") || event.is("lock-lost"))
    });
    let ends: Vec<_> = ends.collect();
    ensure!(ends.is_empty(), "the ledger was touched: {ends:?}");
    Ok(())
}

fn status(dir: &Path) -> Result<String> {
    let mut command = std::process::Command::new(leasehold_tests::binaries::leasehold()?);
    let output = command
        .args(["status", "-c", "leasehold.toml"])
        .current_dir(dir)
        .output()
        .context("asking for the status")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_aborting_plugin_is_quarantined_while_the_ledger_runs() -> Result<()> {
    let place = Place::new()?;
    let mut host = place.start()?;
    place.drop_in(LAST_WORDS)?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code.is_none(), "it ended by itself, with {code:?}");
    drop(host);
    let host = place.start()?;
    let told = host.wait_for(SLACK, |event| event.is("quarantined"))?;
    let job = told.job().context("a crash of no job")?.to_owned();
    ensure!(job != "ledger", "it told {told:?}");
    let is_back = |event: &Event| event.is("standing-back") && event.job() == Some(&job);
    host.wait_for(SLACK, is_back)?;
    eventually(SLACK, "a record of the crash", || {
        let outcomes = place.outcomes(&job)?;
        ensure!(outcomes == ["crashed"], "the runs are {outcomes:?}");
        let shown = status(host.dir())?;
        ensure!(shown.contains("quarantined until"), "it shows {shown}");
        Ok(())
    })?;
    ledger_is_untouched(&host)?;

    // A new file lifts it at once.
    let mark = host.mark();
    place.drop_in("fine weather")?;
    host.wait_after(mark, SLACK, |event| is_run_of(event, &job))?;
    // The old one is back in quarantine.
    let mark = host.mark();
    place.drop_in(LAST_WORDS)?;
    host.wait_after(mark, SLACK, is_back)?;
    ledger_is_untouched(&host)?;

    // By hand: it runs once more, and the host aborts again.
    for file in place.held()? {
        std::fs::remove_file(file).context("lifting the quarantine")?;
    }
    let mut host = host;
    let code = host.wait_exit(2 * SLACK)?.code();
    ensure!(code.is_none(), "it ended by itself, with {code:?}");
    Ok(())
}
