//! A guest that leaks its secret in every possible way: no log, record, command or panel shows it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::Process;
use leasehold_tests::tail::Tail;
use leasehold_tests::terminal::Terminal;
use leasehold_tests::wait::eventually;
use toml::Table;

use crate::{SLACK, detail, ended};
use leasehold_tests::command::{finish, leasehold};

/// The secret, which must appear nowhere. A guest writes its halves first and last.
const SECRET: &str = "s3cr3t-hunter2-v4lu3";
/// Text in place of the secret.
const MARK: &str = "[secret key]";

/// The jobs by the guest's mode, and how their runs end.
const JOBS: &[(&str, &str)] = &[
    ("tell-done", "done"),
    ("tell-retry", "retry"),
    ("tell-fatal", "fatal"),
    ("tell-panic", "trap"),
];

fn table(pairs: &[(&str, toml::Value)]) -> Table {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn key_file(dir: &Path) -> Result<PathBuf> {
    let file = dir.join("key");
    fs::write(&file, format!("{SECRET}\n"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

fn telling(etcd: &Etcd, key: &Path) -> Result<Config> {
    let stubborn = guests::stubborn()?;
    let file = table(&[("file", key.to_string_lossy().into_owned().into())]);
    let secrets = table(&[("key", file.into())]);
    let env = table(&[("KEY", table(&[("secret", "key".into())]).into())]);
    let config = config_for("host-a", etcd).grace("300ms");
    Ok(JOBS.iter().fold(config, |config, (mode, _)| {
        config.job(mode, |job| {
            let job = job.plugin(&stubborn).config("mode", *mode).once();
            let job = job.key("secrets", secrets.clone()).key("env", env.clone());
            job.restart("1m", "1m")
        })
    }))
}

/// Neither the secret nor a half of it, which a redaction of single writes would let through.
fn is_clean(what: &str, text: &str) -> Result<()> {
    let (head, tail) = SECRET.split_at(SECRET.len() / 2);
    for part in [SECRET, head, tail] {
        ensure!(!text.contains(part), "{what} shows {part}:\n{text}");
    }
    Ok(())
}

#[test]
fn a_secret_is_seen_nowhere_however_a_guest_tells_it() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let config = telling(&etcd, &key_file(dir.path())?)?;
    let host = HostProcess::start(&config)?;
    for (job, outcome) in JOBS {
        let ended = ended(&host, job)?;
        ensure!(ended.outcome() == Some(outcome), "{ended}");
        if *outcome != "trap" {
            ensure!(detail(&ended) == format!("told {MARK} at last"), "{ended}");
        }
    }
    let is_stored = |key: &str| -> Result<String> {
        eventually(SLACK, "records of all ends", || {
            let said = leasehold(&config, &["runs", key, "--format", "json"])?;
            ensure!(said.stdout.contains("outcome") && !said.stdout.contains("\"running\""));
            Ok(said.stdout)
        })
    };
    for (job, _) in JOBS {
        let json = is_stored(job)?;
        is_clean("runs --format json", &json)?;
        ensure!(json.contains(MARK), "{json}");
    }
    check_events_and_log(&host)?;
    check_store(&etcd)?;
    check_commands(&config)?;
    check_dashboard(&etcd)
}

fn check_events_and_log(host: &HostProcess) -> Result<()> {
    let events = host.events();
    let said: Vec<String> = events
        .iter()
        .map(|event| event.value().to_string())
        .collect();
    is_clean("the log", &said.join("\n"))?;
    is_clean("standard error", &host.stderr())?;
    is_clean(
        "the host's config",
        &fs::read_to_string(host.dir().join("leasehold.toml"))?,
    )?;
    // Each way was logged; else the test would show nothing.
    for (stream, words) in [
        ("stdout", "told [secret key] at once"),
        ("stderr", "told [secret key] at once"),
        ("stdout", "KEY=[secret key]"),
        ("stdout", "told [secret key]"),
        ("log", "told [secret key] in the log"),
        ("stderr", "told [secret key] at last"),
    ] {
        let heard = |event: &&Event| {
            event.str("stream") == Some(stream)
                && event.text().is_some_and(|text| text.contains(words))
        };
        ensure!(
            events.iter().any(|event| heard(&event)),
            "nothing like {words} on {stream}"
        );
    }
    let progress = events.iter().find(|event| event.is("progress"));
    let progress = progress.context("no progress")?;
    ensure!(
        progress.str("message") == Some("told [secret key] as progress"),
        "{progress}"
    );
    Ok(())
}

fn check_store(etcd: &Etcd) -> Result<()> {
    let all = etcd.etcdctl(&["get", "", "--prefix"])?;
    ensure!(
        all.contains("/runs/tell-panic/") && all.contains(MARK),
        "{all}"
    );
    is_clean("the store", &all)
}

fn check_commands(config: &Config) -> Result<()> {
    for arguments in [
        &["status"][..],
        &["status", "--format", "json"],
        &["runs", "tell-done"],
        &["runs", "tell-panic"],
        &["top", "--once"],
        &["check"],
    ] {
        let said = leasehold(config, arguments)?;
        ensure!(said.code == Some(0), "{arguments:?}: {}", said.stderr);
        is_clean(&arguments.join(" "), &said.stdout)?;
        is_clean(&arguments.join(" "), &said.stderr)?;
    }
    Ok(())
}

fn check_dashboard(etcd: &Etcd) -> Result<()> {
    let mut command = Command::new(binaries::leasehold_tui()?);
    command.args(["--endpoint", &etcd.endpoint(), "--once"]);
    let said = finish("leasehold-tui --once", command)?;
    is_clean("the dashboard's table", &said.stdout)?;

    let mut command = Command::new(binaries::leasehold_tui()?);
    command.args(["--endpoint", &etcd.endpoint(), "--stream"]);
    let mut stream = Process::spawn("leasehold-tui --stream", command.stdout(Stdio::piped()))?;
    let lines = Tail::read(stream.take_stdout().context("no output")?, str::to_owned)?;
    let first = lines.wait_from(0, SLACK, |_| true);
    ensure!(first.is_ok(), "the stream said nothing");
    stream.kill()?;
    is_clean("the stream", &lines.all().join("\n"))?;

    let terminal = Terminal::start(120, 35)?;
    terminal.line(&format!("leasehold-tui --endpoint {}", etcd.endpoint()))?;
    let mut shown = String::new();
    shown.push_str(terminal.shows(&["| LIVE |"])?.text());
    for keys in [
        &["Tab"][..],
        &["Tab"],
        &["Tab"],
        &["Tab"],
        &["Tab"],
        &["Enter"],
        &["l"],
    ] {
        terminal.keys(keys)?;
        std::thread::sleep(std::time::Duration::from_millis(200));
        shown.push_str(terminal.screen()?.text());
    }
    is_clean("the dashboard", &shown)
}

#[test]
fn an_unreadable_secret_starts_no_run_and_is_read_anew() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let key = key_file(dir.path())?;
    let stubborn = guests::stubborn()?;
    let file = table(&[("file", key.to_string_lossy().into_owned().into())]);
    let secrets = table(&[("key", file.into())]);
    let config = config_for("host-a", &etcd).job("again", |job| {
        let job = job
            .plugin(&stubborn)
            .config("mode", "tell-done")
            .every("200ms");
        job.key("secrets", secrets).restart("100ms", "200ms")
    });
    let host = HostProcess::start(&config)?;
    let is_done = |event: &Event| event.is("run-ended") && event.outcome() == Some("done");
    host.wait_for(SLACK, is_done)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    let lacking = host.wait_for(SLACK, |event| event.is("standing-back"))?;
    let reason = lacking.str("reason").unwrap_or_default();
    ensure!(reason.contains("secret key cannot be used"), "{lacking}");
    ensure!(reason.contains("its mode is 0644"), "{lacking}");
    let mark = host.mark();
    fs::write(&key, "another-value")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    host.wait_after(mark, SLACK, is_done)?;
    let said = host.events();
    let failed = said
        .iter()
        .find(|event| event.is("run-ended") && !is_done(event));
    ensure!(failed.is_none(), "{failed:?}");
    let said: Vec<String> = said.iter().map(|event| event.value().to_string()).collect();
    is_clean("the log", &said.join("\n"))?;
    ensure!(!said.join("\n").contains("another-value"), "{said:?}");
    Ok(())
}
