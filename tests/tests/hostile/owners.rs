//! Files and directories that another user can change, and files that are none.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::guests::config_for;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wat_plugins::printer;

use crate::SLACK;
use crate::neighbour::Neighbour;

/// A user who is neither the host's nor root.
const OTHER: u32 = 12345;

fn mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).context("changing a mode")
}

/// Waits for a refusal after `mark` that holds all of `parts`.
fn refused(host: &HostProcess, mark: usize, parts: &[&str]) -> Result<()> {
    let refused = host.wait_after(mark, SLACK, |event| {
        let said = event.str("error").unwrap_or_default();
        event.is("plugin-refused") && parts.iter().all(|part| said.contains(part))
    });
    refused.map(drop)
}

fn added(host: &HostProcess, mark: usize, job: &str) -> Result<()> {
    let added = host.wait_after(mark, SLACK, |event| {
        event.is("job-added") && event.job() == Some(job)
    });
    added.map(drop)
}

/// Starts a second host beside the neighbour, which must refuse to start with these words.
fn start_refused(
    beside: &Neighbour,
    more: &str,
    prepare: impl FnOnce(&Path) -> Result<()>,
    parts: &[&str],
) -> Result<()> {
    let config = config_for("host-b", &beside.etcd).raw(more);
    let mut host = HostProcess::start_in_prepared(&config, |dir| {
        fs::write(dir.join("hello.wasm"), printer("never", 0)?)?;
        prepare(dir)
    })?;
    let code = host.wait_exit(SLACK)?.code();
    let said = host.stderr();
    ensure!(matches!(code, Some(1..=9)), "{code:?}: {said}");
    for part in parts {
        ensure!(said.contains(part), "no {part:?} in {said}");
    }
    ensure!(!host.has(|event| event.is("run-started")));
    Ok(())
}

const JOB: &str = "\n[jobs.hello]\nplugin = \"hello.wasm\"\n";

#[test]
fn a_folder_writable_by_others_gives_no_jobs_until_closed() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let folder = beside.host.dir().join("plugins");
    let mark = beside.host.mark();
    mode(&folder, 0o777)?;
    beside.drop_in("hello.wasm", &printer("hello", 0)?)?;
    refused(
        &beside.host,
        mark,
        &[
            "may be written by everybody (its mode is 0777)",
            "run `chmod o-w ",
        ],
    )?;
    ensure!(!beside.host.has(|event| event.is("job-added")));
    mode(&folder, 0o755)?;
    added(&beside.host, mark, "dropped.hello")?;
    // The folder of another user is theirs, whatever its mode is.
    let mark = beside.host.mark();
    chown(&folder, Some(OTHER), None)?;
    refused(
        &beside.host,
        mark,
        &["belongs to user 12345", "run `chown "],
    )?;
    ensure!(!beside.host.has(|event| event.is("job-removed")));
    chown(&folder, Some(0), None)?;
    beside.untouched().map(drop)
}

#[test]
fn a_plugin_or_sidecar_writable_by_others_is_refused() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let folder = beside.host.dir().join("plugins");
    let put = |name: &str, bytes: &[u8], owner: u32, bits: u32| -> Result<()> {
        let new = folder.join(format!(".{name}.new"));
        fs::write(&new, bytes)?;
        mode(&new, bits)?;
        chown(&new, Some(owner), None)?;
        fs::rename(&new, folder.join(name)).context("moving a file into place")
    };
    for (owner, bits, said) in [
        (OTHER, 0o644, "theirs.wasm belongs to user 12345"),
        (0, 0o666, "theirs.wasm may be written by everybody"),
    ] {
        let mark = beside.host.mark();
        put("theirs.wasm", &printer("never", 0)?, owner, bits)?;
        refused(&beside.host, mark, &[said, "run `ch"])?;
    }
    let mark = beside.host.mark();
    put("theirs.toml", b"ttl = nonsense\n", OTHER, 0o600)?;
    put("theirs.wasm", &printer("never", 1)?, 0, 0o644)?;
    refused(&beside.host, mark, &["theirs.toml belongs to user 12345"])?;
    let told = beside.host.events();
    ensure!(
        !told
            .iter()
            .any(|event| event.value().to_string().contains("nonsense")),
        "a line of another user's file is shown"
    );
    beside.untouched().map(drop)
}

#[test]
fn a_data_dir_writable_by_others_is_refused_at_each_load() -> Result<()> {
    let beside = Neighbour::start(|config| config.host("data_dir", "data"))?;
    let data = beside.host.dir().join("data");
    for (owner, bits, said) in [
        (
            0,
            0o777,
            "`, which may be written by everybody (its mode is 0777)",
        ),
        (OTHER, 0o777, "`, which belongs to user 12345"),
        (OTHER, 0o700, "`, which belongs to user 12345"),
    ] {
        let shared = tempfile::tempdir()?;
        let dir = shared.path().join("data");
        fs::create_dir(&dir)?;
        mode(&dir, bits)?;
        chown(&dir, Some(owner), None)?;
        let config = format!(
            "\n[host]\nid = \"host-b\"\ndata_dir = {:?}\n{JOB}",
            dir.display().to_string()
        );
        let config = config_at(&beside, &config);
        let mut host = HostProcess::start_in_prepared(&config, |dir| {
            Ok(fs::write(dir.join("hello.wasm"), printer("never", 0)?)?)
        })?;
        let code = host.wait_exit(SLACK)?.code();
        ensure!(matches!(code, Some(1..=9)), "{code:?}");
        ensure!(host.stderr().contains(said), "{}", host.stderr());
        ensure!(!host.has(|event| event.is("run-started")));
    }
    let mark = beside.host.mark();
    mode(&data, 0o777)?;
    beside.drop_in("hello.wasm", &printer("hello", 0)?)?;
    refused(
        &beside.host,
        mark,
        &["so its code could be replaced", "chmod o-w"],
    )?;
    mode(&data, 0o700)?;
    let mark = beside.host.mark();
    beside.drop_in("hello.wasm", &printer("hello", 1)?)?;
    added(&beside.host, mark, "dropped.hello")?;
    beside.untouched().map(drop)
}

/// A configuration on the neighbour's store with this text.
fn config_at(beside: &Neighbour, text: &str) -> String {
    let endpoints: Vec<String> = beside.etcd.endpoints();
    format!("[store]\nendpoints = {endpoints:?}\n{text}")
}

#[test]
fn files_of_another_user_are_refused_at_the_start() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let job = format!("{JOB}secrets = {{ key = {{ file = \"key\" }} }}\n");
    let secret = |owner: u32| {
        move |dir: &Path| {
            let key = dir.join("key");
            fs::write(&key, "hunter2\n")?;
            mode(&key, 0o600)?;
            chown(&key, Some(owner), None).context("giving a file away")
        }
    };
    start_refused(
        &beside,
        &job,
        secret(OTHER),
        &["secret file", "belongs to user 12345"],
    )?;
    start_refused(
        &beside,
        JOB,
        |dir| chown(dir.join("hello.wasm"), Some(OTHER), None).context("giving a file away"),
        &["hello.wasm", "belongs to user 12345"],
    )?;
    start_refused(
        &beside,
        JOB,
        |dir| chown(dir.join("leasehold.toml"), Some(OTHER), None).context("giving a file away"),
        &[
            "the configuration file belongs to user 12345",
            "`sudo -u '#12345' leasehold …`",
        ],
    )?;
    start_refused(
        &beside,
        JOB,
        |dir| mode(dir, 0o777),
        &["is reached through `", "which may be written by everybody"],
    )?;
    beside.untouched().map(drop)
}

#[test]
fn a_fifo_in_a_files_place_holds_nothing_up() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let folder = beside.host.dir().join("plugins");
    let config = beside.host.dir().join("leasehold.toml");
    let fifo = |name: &Path| -> Result<()> {
        let made = Command::new("mkfifo").arg(name).status()?;
        ensure!(made.success());
        Ok(())
    };
    // A file that is only checked before it is opened would at some time be swapped in between.
    for _ in 0..50 {
        for name in ["a.wasm", "b.toml"] {
            let new = folder.join(format!(".{name}"));
            fifo(&new)?;
            fs::rename(&new, folder.join(name))?;
            beside.drop_in(name, &printer("a", 0)?)?;
        }
    }
    let mark = beside.host.mark();
    for name in ["pipe.wasm", "b.toml"] {
        let new = folder.join(format!(".{name}"));
        fifo(&new)?;
        fs::rename(&new, folder.join(name))?;
    }
    beside.drop_in("b.wasm", &printer("b", 0)?)?;
    refused(&beside.host, mark, &["pipe.wasm is not a regular file"])?;
    refused(&beside.host, mark, &["b.toml is not a regular file"])?;
    // The configuration itself, read again at SIGHUP.
    let text = fs::read(&config)?;
    fs::remove_file(&config)?;
    fifo(&config)?;
    let mark = beside.host.mark();
    beside.host.hangup()?;
    beside.host.wait_after(mark, SLACK, |event| {
        let said = event.str("error").unwrap_or_default();
        event.is("config-refused") && said.contains("is not a regular file")
    })?;
    fs::remove_file(&config)?;
    fs::write(&config, text)?;
    let mark = beside.host.mark();
    beside.drop_in("last.wasm", &printer("last", 0)?)?;
    added(&beside.host, mark, "dropped.last")?;
    beside.untouched().map(drop)
}
