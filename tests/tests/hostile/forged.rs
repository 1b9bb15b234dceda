//! Text from others in logs and on terminals: no line is forged, and no escape sequence arrives.

use std::fs;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::fake_etcd::{FakeEtcd, Fault, Method};
use leasehold_tests::guests::{self, Config, config, config_for};
use serde_json::json;

use crate::SLACK;
use crate::neighbour::Neighbour;
use crate::shown::{HOSTILE, TextHost, command, is_harmless};

/// A host with one job that keeps running beside the attacks.
fn with_heartbeat(etcd: &Etcd) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config_for("host-a", etcd)
        .grace("500ms")
        .plugins("dir", "plugins")
        .job("ledger", |job| job.plugin(&heartbeat).ttl("6s")))
}

/// Checks that the neighbour's lines hold no end of its run before the host was asked to stop.
fn is_untouched(log: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(log);
    let before = text.split("STOPPING").next().unwrap_or_default();
    let ended = before
        .lines()
        .any(|line| line.contains(" ledger ") && (line.contains("ENDED") || line.contains("LOST")));
    ensure!(!ended, "{before}");
    Ok(())
}

/// A file's name cannot hold a slash, and [`HOSTILE`] has none.
#[test]
fn the_name_of_a_file_forges_no_line_of_the_log() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = with_heartbeat(&etcd)?;
    let host = TextHost::start(&config)?;
    host.wait_for("RUN ")?;
    let plugins = host.dir.path().join("plugins");
    fs::write(plugins.join(format!("{HOSTILE}.wasm")), b"no plugin")?;
    host.wait_for("REFUSED")?;
    let (log, stderr) = host.end()?;
    is_harmless(&log)?;
    is_harmless(&stderr)?;
    is_untouched(&log)
}

#[test]
fn the_name_of_a_file_forges_no_line_of_a_check() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let plugins = tempfile::tempdir()?;
    fs::write(plugins.path().join(format!("{HOSTILE}.wasm")), b"no plugin")?;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd)
        .plugins("dir", plugins.path().to_str().unwrap_or_default())
        .job("hello", |job| job.plugin(&hello));
    let checked = command(&config, &["check"])?;
    ensure!(checked.code == Some(4), "it ended with {:?}", checked.code);
    is_harmless(&checked.stderr)?;
    is_harmless(&checked.stdout)?;
    let name = plugins.path().join(format!("{HOSTILE}.wasm"));
    let name = name.to_str().unwrap_or_default();
    for format in ["text", "json"] {
        let inspected = command(&config, &["plugin", "inspect", name, "--format", format])?;
        is_harmless(&inspected.stderr)?;
        is_harmless(&inspected.stdout)?;
    }
    Ok(())
}

#[test]
fn a_hostile_file_name_beside_a_ledger_is_a_refused_plugin() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let mark = beside.host.mark();
    beside.drop_in(&format!("{HOSTILE}.wasm"), b"no plugin")?;
    let refused = beside
        .host
        .wait_after(mark, SLACK, |event| event.is("plugin-refused"))?;
    // JSON keeps the name as it is.
    let file = refused.str("file").unwrap_or_default();
    ensure!(
        file.contains('\u{1b}') || file.contains('\u{fffd}'),
        "{file:?}"
    );
    beside.untouched().map(drop)
}

/// The commands that read the store, each with its two forms.
const READERS: &[&[&str]] = &[
    &["status"],
    &["status", "--format", "json"],
    &["runs"],
    &["runs", "--format", "json"],
    &["top", "--once"],
    &["top", "--once", "--format", "json"],
    &["top", "--once", "--format", "csv"],
];

#[test]
fn hostile_keys_and_records_are_shown_escaped() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let put = |key: &str, value: &str| etcd.etcdctl(&["put", "--", key, value]).map(drop);
    let record =
        json!({"job": HOSTILE, "host": HOSTILE, "lease": 0, "run_id": HOSTILE}).to_string();
    put(&format!("/leasehold/locks/subject/{HOSTILE}"), &record)?;
    put(&format!("/leasehold/locks/{HOSTILE}/1"), HOSTILE)?;
    let run = json!({
        "job": HOSTILE, "host": HOSTILE, "lock": HOSTILE, "lock_key": HOSTILE, "token": 7, "sequence": 0,
        "run_id": HOSTILE, "attempt": 1, "plugin_sha256": HOSTILE, "started_unix_ms": 1, "ended_unix_ms": 2,
        "outcome": "failed", "detail": HOSTILE, "calls_admitted": 0, "calls_refused": 0, "peak_memory_bytes": 0,
        "output": HOSTILE, "output_truncated_bytes": 0,
    });
    put(
        "/leasehold/runs/subject/00000000000000000007",
        &run.to_string(),
    )?;
    let heartbeat = guests::heartbeat()?;
    let config = with_heartbeat(&etcd)?.job("subject", |job| job.plugin(&heartbeat).ttl("3s"));
    let host = TextHost::start(&config)?;
    host.wait_for("WAITING")?;
    host.wait_for("RUN ")?;
    for args in READERS {
        let shown = command(&config, args)?;
        ensure!(
            shown.code == Some(0),
            "{args:?}: {}",
            String::from_utf8_lossy(&shown.stderr)
        );
        is_harmless(&shown.stdout)?;
        is_harmless(&shown.stderr)?;
        if args.contains(&"json") {
            serde_json::from_slice::<serde_json::Value>(&shown.stdout)?;
        }
    }
    let (log, stderr) = host.end()?;
    is_harmless(&log)?;
    is_harmless(&stderr)?;
    is_untouched(&log)
}

#[test]
fn texts_of_a_hostile_server_are_shown_escaped() -> Result<()> {
    let fake = FakeEtcd::start()?;
    let heartbeat = guests::heartbeat()?;
    let config = config("host-a", &fake.endpoint()).grace("500ms");
    let config = config.job("subject", |job| job.plugin(&heartbeat));
    fake.script(|script| script.fail(&Method::ALL, Fault::Hostile));
    for args in [["status"].as_slice(), &["runs"], &["top", "--once"]] {
        let shown = command(&config, args)?;
        ensure!(shown.code != Some(0), "{args:?} read something");
        let words = String::from_utf8_lossy(&shown.stderr).into_owned();
        ensure!(
            words.contains("forged RELEASED"),
            "{args:?} keeps why to itself: {words}"
        );
        is_harmless(&shown.stderr)?;
        is_harmless(&shown.stdout)?;
    }
    fake.script(leasehold_tests::fake_etcd::Script::recover);
    let host = TextHost::start(&config)?;
    host.wait_for("RUN ")?;
    fake.script(|script| script.fail(&[Method::Range, Method::Txn], Fault::Hostile));
    host.wait_for("forged")?;
    fake.script(leasehold_tests::fake_etcd::Script::recover);
    let (log, stderr) = host.end()?;
    is_harmless(&log)?;
    is_harmless(&stderr)
}
