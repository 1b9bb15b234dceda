//! Output that must not pass as it is: secrets, escape sequences, bytes that are no text.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::{on_every_store, wat_plugins};
use toml::Table;

use crate::{Follower, SLACK};

on_every_store!(
    live_output_shows_no_secret_and_no_control_character,
    forged_chunks_reach_no_terminal_as_they_are,
);

/// The secret that the guest writes in every way.
const SECRET: &str = "s3cr3t-hunter2-v4lu3";

fn live_output_shows_no_secret_and_no_control_character(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let dir = tempfile::tempdir()?;
    let (plugin, key) = (dir.path().join("raw.wasm"), dir.path().join("key"));
    fs::write(
        &plugin,
        wat_plugins::writer(b"\x1b]0;title\x07 \xff\xfe \xe2\x80\xaeabc\n", 2, 1)?,
    )?;
    fs::write(&key, SECRET)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let table = |name: &str, value: toml::Value| Table::from_iter([(name.to_owned(), value)]);
    let file = table("file", key.to_string_lossy().into_owned().into());
    let secrets = table("key", file.into());
    let env = table("KEY", table("secret", "key".into()).into());
    let stubborn = guests::stubborn()?;
    let config = config_for("web1", &etcd)
        .job("raw", |job| job.plugin(&plugin).lock("raw").every("1s"))
        .job("tells", |job| {
            let job = job.plugin(&stubborn).lock("tells").every("1s");
            let job = job.config("mode", "tell-done").key("env", env);
            job.key("secrets", secrets)
        });
    let host = HostProcess::start(&config)?;
    let raw = Follower::start(host.dir(), &["raw", "-f", "-t"])?;
    raw.wait(0, |line| line.contains(" stderr \u{fffd}]0;title\u{fffd} "))?;
    // The reader was there before this run began.
    let mark = raw.stdout.len();
    raw.wait(mark, |line| line.contains("title"))?;
    let tells = Follower::start(host.dir(), &["tells", "-f"])?;
    for _ in 0..2 {
        let mark = tells.stdout.len();
        tells.wait(mark, |line| line.contains("[secret key]"))?;
        tells.wait(mark, |line| line.contains("ended: done"))?;
    }
    let stored = etcd.etcdctl(&["get", "--prefix", "/leasehold/output/"])?;
    ensure!(
        stored.contains("[secret key]") && !stored.contains(SECRET),
        "{stored}"
    );
    for line in raw.stdout.all().iter().chain(&tells.stdout.all()) {
        ensure!(
            !line.contains(SECRET) && !line.chars().any(char::is_control),
            "{line:?}"
        );
    }
    Ok(())
}

/// Fails when a chunk that another client has written is printed as it is.
fn forged_chunks_reach_no_terminal_as_they_are(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let stubborn = guests::stubborn()?;
    let config = config_for("web1", &etcd).job("quiet", |job| {
        job.plugin(&stubborn).lock("quiet").config("mode", "sleep")
    });
    let host = HostProcess::start(&config)?;
    host.wait_for(SLACK, |event| event.is("run-started"))?;
    let follower = Follower::start(host.dir(), &["quiet", "-f"])?;
    follower.wait(0, |line| line.contains("on web1 began"))?;
    let chunk = r#"{"host":"e\u001b[2Jvil","attempt":1,"started_unix_ms":1,"from_byte":18446744073709551615,
        "lines":[{"at":18446744073709551615,"stream":"stderr","text":"\u001b[2J\nforged"}]}"#;
    for (key, value) in [
        ("x", chunk),
        ("99/0", "no JSON"),
        ("99999999999/0000000000", chunk),
    ] {
        etcd.etcdctl(&["put", &format!("/leasehold/output/quiet/{key}"), value])?;
    }
    let line = follower.wait(0, |line| line.contains("forged"))?;
    ensure!(line == "\u{fffd}[2J⏎forged", "{line:?}");
    Ok(())
}
