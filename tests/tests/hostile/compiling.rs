//! Files that break, or overwhelm, the process that reads and compiles them, and not the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::bombs::{many_branches, nested_components};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::config_for;
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::{children, peak};
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::{printer, section};

use crate::SLACK;
use crate::neighbour::{Neighbour, file};

/// The most that a host with one ledger may have taken, in KiB, whatever is dropped in.
pub(crate) const MOST_HOST_KIB: u64 = 300 * 1024;

/// Runs the program in `dir`.
fn run(dir: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(binaries::leasehold()?);
    command.args(args).current_dir(dir);
    command.env("HOME", dir).env_remove("XDG_STATE_HOME");
    command.output().context("running a command")
}

fn words(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A folder with a configuration, for commands that need no store.
fn folder(more: &str) -> Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir()?;
    let text = format!(
        "[host]\nid = \"a\"\ndata_dir = \"data\"\n[store]\nendpoints = [\"127.0.0.1:1\"]\n{more}"
    );
    let config = dir.path().join("leasehold.toml");
    fs::write(&config, text)?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
    fs::create_dir(dir.path().join("plugins"))?;
    Ok(dir)
}

/// Drops a file in and waits until it is refused.
fn refused(beside: &Neighbour, name: &str, bytes: &[u8]) -> Result<String> {
    let mark = beside.host.mark();
    beside.drop_in(name, bytes)?;
    let refused = beside
        .host
        .wait_after(mark, SLACK, |event| event.is("plugin-refused"))?;
    Ok(format!("{refused:?}"))
}

/// A value in `/proc/PID/status`.
fn status(pid: u32, key: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    Ok(line.context("no such key")?.trim().to_owned())
}

#[test]
fn an_overflowing_component_type_section_is_refused_everywhere() -> Result<()> {
    let cycle = file("component-type-cycle.wasm")?;
    let why = "its component-type section overflowed the reader's stack";
    let beside = Neighbour::start(|config| config)?;
    let told = refused(&beside, "cycle.wasm", &cycle)?;
    ensure!(told.contains(why), "{told}");
    let dir = folder("[jobs.book]\nplugin = \"cycle.wasm\"\n")?;
    fs::write(dir.path().join("cycle.wasm"), &cycle)?;
    for args in [
        &["check"] as &[&str],
        &["plugin", "inspect", "cycle.wasm"],
        &["plugin", "inspect", "cycle.wasm", "--compile"],
        &["plugin", "run", "cycle.wasm"],
        &["run"],
    ] {
        let output = run(dir.path(), args)?;
        let words = words(&output);
        ensure!(output.status.code() == Some(4), "{args:?}: {words}");
        ensure!(words.contains(why), "{args:?}: {words}");
    }
    beside.untouched().map(drop)
}

#[test]
fn a_bomb_is_refused_with_its_limit_and_the_host_stays_small() -> Result<()> {
    let beside = Neighbour::start(|config| {
        let limits = toml::Table::from_iter([("compile_memory".to_owned(), "192MiB".into())]);
        config.plugins("limits", limits)
    })?;
    for (name, bytes, why) in [
        ("nest.wasm", nested_components(3_000)?, "levels of nesting"),
        ("deep.wasm", nested_components(20_000)?, "levels of nesting"),
        (
            "branches.wasm",
            many_branches(5_000, 40_000),
            "needed more than 192MiB of memory to be compiled: raise `compile_memory`",
        ),
    ] {
        let told = refused(&beside, name, &bytes)?;
        ensure!(told.contains(why), "{name}: {told}");
    }
    let peak = peak(beside.host.pid())?;
    ensure!(peak < MOST_HOST_KIB, "the host took {peak} KiB");
    beside.untouched().map(drop)
}

#[test]
fn a_small_file_is_loaded_while_big_ones_are_compiled() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let mark = beside.host.mark();
    // The padding makes them big; more than are read and compiled at once.
    let cores = std::thread::available_parallelism()?.get();
    for number in 0..2 * cores + 4 {
        let mut bomb = many_branches(5_000, 40_000 + number);
        section(&mut bomb, "padding", &vec![7; 2 * 1024 * 1024]);
        beside.drop_in(&format!("big{number}.wasm"), &bomb)?;
    }
    eventually(SLACK, "a big file to be compiled", || {
        ensure!(!children(beside.host.pid()).is_empty());
        Ok(())
    })?;
    beside.drop_in("small.wasm", &printer("small", 0)?)?;
    beside.host.wait_after(mark, SLACK, |event| {
        event.is("run-started") && event.job() == Some("dropped.small")
    })?;
    let is_refused = |event: &Event| event.is("plugin-refused");
    let refused = beside
        .host
        .events()
        .iter()
        .filter(|event| is_refused(event))
        .count();
    ensure!(refused <= cores, "it waited for big files");
    beside.untouched().map(drop)
}

#[test]
fn the_process_that_compiles_is_confined_and_ends_with_its_host() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let config = config_for("host-a", &etcd).plugins("dir", "plugins");
    let mut host = HostProcess::start_in_prepared(&config, |dir| {
        fs::write(dir.join("bomb"), many_branches(5_000, 40_000))?;
        Ok(fs::create_dir(dir.join("plugins"))?)
    })?;
    host.wait_for(SLACK, |event| event.is("store-connected"))?;
    fs::rename(
        host.dir().join("bomb"),
        host.dir().join("plugins/bomb.wasm"),
    )?;
    let mut found = 0;
    eventually(SLACK, "a confined process", || {
        let all = children(host.pid());
        found = *all.first().context("no process")?;
        // Two filters would be one too many; 2 is the mode.
        ensure!(status(found, "Seccomp:")? == "2", "no filter yet");
        ensure!(status(found, "Threads:")? != "1", "it does not work yet");
        Ok(())
    })?;
    let proc = PathBuf::from(format!("/proc/{found}"));
    ensure!(fs::read(proc.join("environ"))?.is_empty());
    ensure!(fs::read_link(proc.join("cwd"))? == Path::new("/"));
    ensure!(status(found, "NoNewPrivs:")? == "1");
    let limits = fs::read_to_string(proc.join("limits"))?;
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    ensure!(
        limit("Max core file size").as_deref() == Some("0 0"),
        "{limits}"
    );
    let memory = Some("1073741824 1073741824");
    ensure!(limit("Max data size").as_deref() == memory, "{limits}");
    for fd in fs::read_dir(proc.join("fd"))?.flatten() {
        let Ok(target) = fs::read_link(fd.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let number = fd.file_name().to_string_lossy().parse::<u32>()?;
        if number < 3 {
            ensure!(target.starts_with("pipe:"), "{number} is {target}");
        }
        ensure!(!target.starts_with("socket:"), "{number} is {target}");
    }
    host.kill()?;
    eventually(SLACK, "the process to end with its host", || {
        ensure!(!proc.exists(), "it lives");
        Ok(())
    })
}

#[test]
fn an_entry_that_was_changed_is_refused_and_made_anew() -> Result<()> {
    let dir = folder("[plugins]\ndir = \"plugins\"\n")?;
    fs::write(dir.path().join("small.wasm"), printer("small", 0)?)?;
    let compile = || {
        let output = run(
            dir.path(),
            &["plugin", "inspect", "small.wasm", "--compile"],
        )?;
        Ok::<_, anyhow::Error>(words(&output))
    };
    ensure!(compile()?.contains("compiled was not in the cache"));
    ensure!(compile()?.contains("compiled was in the cache"));
    let code = dir.path().join("data/compiled/code/modules");
    let engine = fs::read_dir(code)?.flatten().next().context("no engine")?;
    let entries = fs::read_dir(engine.path())?.flatten();
    let mut files = entries.map(|entry| entry.path());
    let code = files
        .find(|path| path.extension().is_none())
        .context("no machine code")?;
    let mut bytes = fs::read(&code)?;
    let last = bytes.last_mut().context("it is empty")?;
    *last ^= 1;
    fs::write(&code, &bytes)?;
    let told = compile()?;
    ensure!(told.contains("was changed by another program"), "{told}");
    let output = run(dir.path(), &["plugin", "run", "small.wasm"])?;
    ensure!(output.status.code() == Some(0), "{output:?}");
    ensure!(output.stdout == b"small\n", "{output:?}");
    let told = compile()?;
    ensure!(told.contains("compiled was in the cache"), "{told}");
    ensure!(!told.contains("changed"), "{told}");
    Ok(())
}

#[test]
fn a_plugin_is_compiled_once_for_all_commands() -> Result<()> {
    let dir = folder("[jobs.book]\nplugin = \"small.wasm\"\n")?;
    fs::write(dir.path().join("small.wasm"), printer("small", 0)?)?;
    let output = run(dir.path(), &["check"])?;
    ensure!(output.status.code() == Some(0), "{}", words(&output));
    let known = dir.path().join("data/compiled/known");
    let records = || {
        let entries = fs::read_dir(&known)?.flatten();
        let dates = entries.map(|entry| Ok((entry.path(), entry.metadata()?.modified()?)));
        dates.collect::<Result<Vec<_>>>()
    };
    let before = records()?;
    ensure!(before.len() == 1, "{before:?}");
    for args in [
        &["plugin", "run", "small.wasm"] as &[&str],
        &[
            "plugin",
            "run",
            "small.wasm",
            "-c",
            "leasehold.toml",
            "--job",
            "book",
        ],
        &["check"],
    ] {
        let output = run(dir.path(), args)?;
        ensure!(output.status.code() == Some(0), "{}", words(&output));
    }
    ensure!(records()? == before, "it was compiled again");
    ensure!(
        !dir.path().join(".local").exists(),
        "there is a second cache"
    );
    let told = words(&run(
        dir.path(),
        &["plugin", "inspect", "small.wasm", "--compile"],
    )?);
    ensure!(told.contains("compiled was in the cache"), "{told}");
    Ok(())
}

#[test]
fn a_host_whose_program_was_replaced_compiles_all_the_same() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let room = tempfile::tempdir()?;
    let program = room.path().join("leasehold");
    fs::copy(binaries::leasehold()?, &program)?;
    let plugins = room.path().join("plugins");
    fs::create_dir(&plugins)?;
    let folder = plugins.to_string_lossy().into_owned();
    let config = config_for("host-a", &etcd).plugins("dir", folder);
    let mut host = HostProcess::start_program(&program, &config)?;
    host.wait_for(SLACK, |event| event.is("store-connected"))?;
    // As a package manager does it: another file of the same name.
    fs::write(room.path().join("new"), "#!/bin/sh\nexit 9\n")?;
    fs::rename(room.path().join("new"), &program)?;
    fs::write(plugins.join(".small"), printer("small", 0)?)?;
    fs::rename(plugins.join(".small"), plugins.join("small.wasm"))?;
    host.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some("dropped.small")
    })?;
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}: {}", host.stderr());
    Ok(())
}
