//! The configuration and the plugins it names, changed while the host runs.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::printer;

use super::{QUIET, SLACK, count, end, event_after, first_output};
use leasehold_tests::command::leasehold;

on_every_store!(
    jobs_come_change_and_go_with_the_file,
    a_run_keeps_the_bytes_it_began_with,
);

/// A job that prints a line every 200 ms.
fn saying(config: Config, host: Option<&HostProcess>, job: &str, text: &str) -> Result<Config> {
    let dir = match host {
        Some(host) => host.dir().to_owned(),
        None => std::env::temp_dir(),
    };
    let plugin = dir.join(format!("{job}-{text}.wasm"));
    std::fs::write(&plugin, printer(text, 0)?)?;
    Ok(config.job(job, |job| job.plugin(&plugin).restart("200ms", "1s")))
}

fn jobs_come_change_and_go_with_the_file(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let base = || config_for("host-a", &etcd).grace("500ms");
    let host = HostProcess::start(&saying(base(), None, "one", "1")?)?;
    ensure!(first_output(&host, 0, "one")? == "1");

    let mark = host.mark();
    let two = saying(
        saying(base(), Some(&host), "one", "1b")?,
        Some(&host),
        "two",
        "2",
    )?;
    host.reconfigure(&two)?;
    event_after(&host, mark, "job-added", "two")?;
    event_after(&host, mark, "job-changed", "one")?;
    host.wait_after(mark, SLACK, |event| event.text() == Some("1b"))?;
    ensure!(first_output(&host, mark, "two")? == "2");

    let mark = host.mark();
    let only_two = saying(base(), Some(&host), "two", "2")?;
    host.reconfigure(&only_two)?;
    event_after(&host, mark, "job-removed", "one")?;
    // Its record is deleted with it, and `two` continued meanwhile.
    eventually(SLACK, "the record of the job to go", || {
        let output = leasehold(&only_two, &["status"])?;
        ensure!(
            output.code == Some(0) && output.stderr.is_empty(),
            "{output:?}"
        );
        let table = output.stdout;
        let has = |job: &str| table.lines().any(|line| line.starts_with(job));
        ensure!(!has("one ") && has("two "), "{table}");
        Ok(())
    })?;
    let events = end(host)?;
    ensure!(
        count(&events, "job-changed", Some("two")) == 0,
        "two was disturbed"
    );
    Ok(())
}

fn a_run_keeps_the_bytes_it_began_with(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let heartbeat = guests::heartbeat()?;
    let dir = tempfile::tempdir()?;
    let plugin = dir.path().join("job.wasm");
    std::fs::copy(&heartbeat, &plugin)?;
    // Five beats of 200 ms.
    let config = config_for("host-a", &etcd).job("job", |job| {
        job.plugin(&plugin)
            .args(&["5", "200"])
            .restart("100ms", "1s")
    });
    let host = HostProcess::start(&config)?;
    event_after(&host, 0, "guest", "job")?;
    std::fs::write(dir.path().join("new"), printer("the new one", 0)?)?;
    std::fs::rename(dir.path().join("new"), &plugin)?;
    let changed = event_after(&host, 0, "job-changed", "job")?;
    ensure!(
        changed.str("from") == Some("with the next run"),
        "{changed}"
    );
    let ended = event_after(&host, 0, "run-ended", "job")?;
    ensure!(ended.outcome() == Some("done"), "the run was cut: {ended}");
    host.wait_for(SLACK, |event| event.text() == Some("the new one"))?;
    let events = end(host)?;
    let run = ended.run();
    let beats = events
        .iter()
        .filter(|event| event.is("guest") && event.run() == run)
        .count();
    ensure!(beats == 5, "{beats} beats of five");
    Ok(())
}

#[test]
fn an_invalid_file_changes_nothing_and_is_logged_once() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let good = saying(config_for("host-a", &etcd), None, "one", "still here")?;
    let host = HostProcess::start(&good)?;
    first_output(&host, 0, "one")?;
    let mark = host.mark();
    host.reconfigure(&good.clone().raw("\n[jobs.two]\nplugn = \"x\"\n"))?;
    let refused = host.wait_after(mark, SLACK, |event| event.is("config-refused"))?;
    let error = refused.str("error").unwrap_or_default();
    ensure!(error.contains("did you mean `plugin`?"), "{error}");
    std::thread::sleep(QUIET);
    let told = host.events()[mark..]
        .iter()
        .filter(|event| event.is("config-refused"))
        .count();
    ensure!(told == 1, "told {told} times");
    let mark = host.mark();
    first_output(&host, mark, "one")?;
    host.reconfigure(&good)?;
    // The same content as before: nothing to do, except at a request to reload.
    host.hangup()?;
    let reloaded = host.wait_after(mark, SLACK, |event| event.is("config-reloaded"))?;
    ensure!(
        reloaded.u64("added") == Some(0) && reloaded.u64("changed") == Some(0),
        "{reloaded}"
    );
    end(host).map(drop)
}

#[test]
fn settings_that_need_a_restart_are_named() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = saying(config_for("host-a", &etcd), None, "one", "1")?;
    let host = HostProcess::start(&config)?;
    first_output(&host, 0, "one")?;
    host.reconfigure(&config.clone().grace("7s").store("request_timeout", "9s"))?;
    let reloaded = host.wait_for(SLACK, |event| event.is("config-reloaded"))?;
    let restart = reloaded.str("restart").unwrap_or_default();
    ensure!(
        restart.starts_with("[host] and [store] changed"),
        "{reloaded}"
    );
    end(host).map(drop)
}

#[test]
fn a_deleted_job_is_stopped_in_its_grace_and_its_lock_released() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let stubborn = guests::stubborn()?;
    let base = saying(config_for("host-a", &etcd).grace("1s"), None, "other", "x")?;
    let both = base.clone().job("subject", |job| {
        job.plugin(&stubborn).config("mode", "ignore-stop")
    });
    let host = HostProcess::start(&both)?;
    event_after(&host, 0, "guest", "subject")?;
    host.reconfigure(&base)?;
    event_after(&host, 0, "job-removed", "subject")?;
    let ended = event_after(&host, 0, "run-ended", "subject")?;
    ensure!(ended.outcome() == Some("stopped"), "{ended}");
    event_after(&host, 0, "released", "subject")?;
    ensure!(
        etcd.queue("/leasehold/locks/subject/")?.is_empty(),
        "the lock was left"
    );
    // It may come back.
    let mark = host.mark();
    host.reconfigure(&both)?;
    event_after(&host, mark, "acquired", "subject")?;
    end(host).map(drop)
}
