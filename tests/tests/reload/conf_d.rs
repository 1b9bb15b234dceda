//! A folder of configurations: files that come, change, break and go while a host runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::config_for;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wat_plugins::printer;

use super::{QUIET, SLACK, count, end, event_after, first_output, put};

/// Puts a job's plugin and its configuration into the folder.
fn job(folder: &Path, name: &str, said: &str) -> Result<()> {
    put(folder, &format!("{name}-{said}.wasm"), &printer(said, 0)?)?;
    let text = format!(
        "[jobs.{name}]\nplugin = \"{name}-{said}.wasm\"\nlock = \"folder/{name}\"\n\
         restart = {{ min = \"200ms\", max = \"200ms\" }}\n"
    );
    put(folder, &format!("{name}.toml"), text.as_bytes())
}

fn conf_d(host: &HostProcess) -> PathBuf {
    host.dir().join("conf.d")
}

fn start(etcd: &Etcd) -> Result<HostProcess> {
    let config = config_for("host-a", etcd).grace("500ms");
    HostProcess::start_folder(&config, |folder| job(folder, "first", "one"))
}

#[test]
fn files_of_a_folder_are_added_changed_and_deleted() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&etcd)?;
    ensure!(first_output(&host, 0, "first")? == "one");
    job(&conf_d(&host), "second", "two")?;
    event_after(&host, 0, "job-added", "second")?;
    ensure!(first_output(&host, 0, "second")? == "two");
    let mark = host.mark();
    job(&conf_d(&host), "second", "three")?;
    let changed = event_after(&host, mark, "job-changed", "second")?;
    let plugin = changed.str("plugin").unwrap_or_default();
    ensure!(plugin.ends_with("conf.d/second-three.wasm"), "{changed}");
    host.wait_after(mark, SLACK, |event| event.text() == Some("three"))?;
    // A mistake in one file changes nothing of the others, and names it.
    let mark = host.mark();
    put(
        &conf_d(&host),
        "third.toml",
        b"[jobs.third]\nplugn = \"x\"\n",
    )?;
    let refused = host.wait_after(mark, SLACK, |event| event.is("config-refused"))?;
    let error = refused.str("error").unwrap_or_default();
    ensure!(error.contains("conf.d/third.toml:2:1"), "{error}");
    ensure!(
        error.ends_with("errors in conf.d") || error.ends_with("error in conf.d"),
        "{error}"
    );
    ensure!(!error.contains("nothing was started"), "{error}");
    std::thread::sleep(QUIET);
    ensure!(
        count(&host.events()[mark..], "config-refused", None) == 1,
        "told again"
    );
    fs::remove_file(conf_d(&host).join("third.toml"))?;
    fs::remove_file(conf_d(&host).join("second.toml"))?;
    event_after(&host, mark, "job-removed", "second")?;
    let mark = host.mark();
    first_output(&host, mark, "first")?;
    end(host).map(drop)
}

#[test]
fn a_deleted_configuration_is_logged_once_and_jobs_go_on() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&etcd)?;
    first_output(&host, 0, "first")?;
    let mark = host.mark();
    let away = host.dir().join("away");
    fs::rename(conf_d(&host), &away).context("moving a folder away")?;
    let gone = host.wait_after(mark, SLACK, |event| event.is("config-gone"))?;
    ensure!(gone.str("file") == Some("conf.d"), "{gone}");
    std::thread::sleep(QUIET);
    ensure!(
        count(&host.events()[mark..], "config-gone", None) == 1,
        "told again"
    );
    let mark = host.mark();
    first_output(&host, mark, "first")?;
    fs::rename(&away, conf_d(&host)).context("moving a folder back")?;
    job(&conf_d(&host), "second", "two")?;
    event_after(&host, mark, "job-added", "second")?;
    end(host).map(drop)
}

#[test]
fn the_last_outcome_of_a_job_stays_over_a_reload() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&etcd)?;
    event_after(&host, 0, "run-ended", "first")?;
    let mark = host.mark();
    // Another lock, so that the job starts anew.
    let text =
        "[jobs.first]\nplugin = \"first-one.wasm\"\nlock = \"folder/other\"\nevery = \"1h\"\n";
    put(&conf_d(&host), "first.toml", text.as_bytes())?;
    event_after(&host, mark, "job-changed", "first")?;
    leasehold_tests::wait::eventually(SLACK, "the record of the job as it is now", || {
        let record =
            etcd.etcdctl(&["get", "--print-value-only", "/leasehold/jobs/first/host-a"])?;
        let record: serde_json::Value = serde_json::from_str(record.trim())?;
        ensure!(record["lock"] == "folder/other", "{record}");
        ensure!(record["last"] == "done", "{record}");
        Ok(())
    })?;
    end(host).map(drop)
}
