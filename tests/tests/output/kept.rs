//! Finished runs: their records, the files that a host keeps, and the last words of runs whose host died.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result, ensure};
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins;
use toml::Table;

use crate::{SLACK, beater, guest_line};

on_every_store!(
    cut_record_is_completed_from_the_host_s_files,
    host_that_comes_back_records_last_words,
    successor_s_record_of_a_dead_run_gets_its_output,
    dead_run_without_recorded_output_is_noted,
);

fn cut_record_is_completed_from_the_host_s_files(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let data = tempfile::tempdir()?;
    let data_dir = data.path().to_string_lossy().into_owned();
    let heartbeat = guests::heartbeat()?;
    let of_host = |id: &str| {
        let keep = Table::from_iter([("size".to_owned(), "10MiB".into())]);
        config_for(id, &etcd)
            .host("data_dir", data_dir.as_str())
            .host("keep_output", keep)
            .job("many", |job| {
                let job = job.plugin(&heartbeat).lock("many").every("1h");
                job.args(&["100", "0"]).limit("output_kept", "1KiB")
            })
    };
    let host = HostProcess::start(&of_host("web1"))?;
    host.wait_for(SLACK, |event| event.is("run-ended"))?;
    let logs = data.path().join("logs/many");
    let logs_shown = logs.display().to_string();
    let file = logs.join("current.log");
    let text = eventually(SLACK, "the whole output", || {
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.ends_with("-- run ended: done\n"), "{text}");
        Ok(text)
    })?;
    ensure!(text.lines().count() == 102, "{text}");
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");

    // On this machine, the file completes the record.
    let shown = eventually(SLACK, "the run's record", || {
        let shown = leasehold(&of_host("web1"), &["logs", "many", "--last", "1"])?;
        ensure!(
            shown.code == Some(0) && !shown.stdout.is_empty(),
            "{shown:?}"
        );
        Ok(shown)
    })?;
    ensure!(shown.stdout.lines().count() == 100, "{shown:?}");
    ensure!(
        shown.stderr == format!("leasehold: read from {logs_shown}"),
        "{shown:?}"
    );
    // On another, the record is shown, and the place of the rest is named.
    let shown = leasehold(&of_host("web2"), &["logs", "many"])?;
    ensure!(shown.stdout.ends_with(&last(&text)?), "{shown:?}");
    let first = shown.stdout.lines().next().unwrap_or_default();
    ensure!(
        first.ends_with(" bytes of earlier output left out"),
        "{shown:?}"
    );
    let place = format!("leasehold: host web1 keeps all output of this job in {logs_shown}");
    ensure!(shown.stderr == place, "{shown:?}");
    Ok(())
}

/// The guest's last line in a host's file.
fn last(text: &str) -> Result<String> {
    let line = text.lines().rev().nth(1).context("no line")?;
    let at = line.find("beat 100").context("not the last line")?;
    Ok(line[at..].to_owned())
}

/// Waits until the dead host's last words are written down: the file has this line.
fn written_down(data_dir: &std::path::Path, words: &str) -> Result<()> {
    eventually(SLACK, "the output that is written down", || {
        let folder = data_dir.join("last-output");
        for entry in std::fs::read_dir(folder)?.flatten() {
            if std::fs::read_to_string(entry.path())?.contains(words) {
                return Ok(());
            }
        }
        anyhow::bail!("no file has {words:?}")
    })
}

fn host_that_comes_back_records_last_words(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let data = tempfile::tempdir()?;
    let data_dir = data.path().to_string_lossy().into_owned();
    let config = beater("web1", &etcd, "100")?.host("data_dir", data_dir);
    let mut host = HostProcess::start(&config)?;
    guest_line(&host, "pulse")?;
    let token = host
        .wait_for(SLACK, |event| event.is("run-started"))?
        .token();
    let token = token.context("no token")?.to_string();
    written_down(data.path(), "beat 5 ")?;
    host.kill()?;
    // It finds them at its next start, though the lock is not its own yet.
    let _again = HostProcess::start(&config)?;
    let shown = eventually(SLACK, "the last words", || {
        let shown = leasehold(&config, &["logs", "pulse", "--run", &token])?;
        ensure!(shown.stdout.contains("beat 5 "), "{shown:?}");
        Ok(shown)
    })?;
    ensure!(shown.stdout.starts_with("beat 1 "), "{shown:?}");
    let runs = leasehold(&config, &["runs", "pulse"])?;
    let row = runs
        .stdout
        .lines()
        .find(|line| line.contains(&format!(" {token} ")));
    let row = row.with_context(|| format!("no {token} in {runs:?}"))?;
    ensure!(
        row.contains("abandoned") || row.contains("crashed"),
        "{row}"
    );
    let files = std::fs::read_dir(data.path().join("last-output"))?;
    let old = files.flatten().filter(|entry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        text.contains(&format!("\"token\":{token},"))
    });
    ensure!(old.count() == 0, "the file is left behind");
    Ok(())
}

fn successor_s_record_of_a_dead_run_gets_its_output(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let data = tempfile::tempdir()?;
    let data_dir = data.path().to_string_lossy().into_owned();
    let config = beater("web1", &etcd, "100")?.host("data_dir", data_dir);
    let mut first = HostProcess::start(&config)?;
    guest_line(&first, "pulse")?;
    let token = first
        .wait_for(SLACK, |event| event.is("run-started"))?
        .token();
    let token = token.context("no token")?.to_string();
    let second = HostProcess::start(&beater("web2", &etcd, "100")?)?;
    written_down(data.path(), "beat 5 ")?;
    first.kill()?;
    second.wait_for(SLACK, |event| event.is("run-started"))?;
    eventually(SLACK, "the successor's record of the dead run", || {
        let runs = leasehold(&config, &["runs", "pulse"])?;
        ensure!(runs.stdout.contains("web1 vanished"), "{runs:?}");
        Ok(())
    })?;
    let _again = HostProcess::start(&config)?;
    eventually(SLACK, "the last words", || {
        let shown = leasehold(&config, &["logs", "pulse", "--run", &token])?;
        ensure!(shown.stdout.contains("beat 5 "), "{shown:?}");
        Ok(())
    })
}

/// Fails when such a run reads like one that ended well and printed nothing.
fn dead_run_without_recorded_output_is_noted(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let folder = tempfile::tempdir()?;
    let silent = folder.path().join("silent.wasm");
    std::fs::write(&silent, wat_plugins::writer(b"", 1, u32::MAX)?)?;
    let config =
        config_for("web1", &etcd).job("silent", |job| job.plugin(&silent).lock("silent").ttl("3s"));
    let mut host = HostProcess::start(&config)?;
    let started = host.wait_for(SLACK, |event| event.is("run-started"))?;
    let token = started.token().context("no token")?.to_string();
    eventually(SLACK, "the run's record", || {
        let runs = leasehold(&config, &["runs", "silent"])?;
        ensure!(runs.stdout.contains(&format!(" {token} ")), "{runs:?}");
        Ok(())
    })?;
    host.kill()?;
    let _again = HostProcess::start(&config)?;
    let note = format!("-- run {token} was cut off on web1 (abandoned)");
    eventually(SLACK, "the note", || {
        let shown = leasehold(&config, &["logs", "silent", "--run", &token])?;
        ensure!(
            shown.code == Some(0) && shown.stdout.starts_with(&note),
            "{shown:?}"
        );
        Ok(())
    })
}
