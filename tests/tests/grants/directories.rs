//! Directories, as a component sees them: files inside, nothing outside, and no pipe that blocks the host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use toml::{Table, Value};

use crate::{SLACK, detail, ended};

/// Path that the guest opens, outcome of its run, and a part of its detail.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("file", "/in/file", "done", "5 bytes"),
    ("link", "/in/fine", "done", "5 bytes"),
    ("up", "/in/../secret", "fatal", "cannot open"),
    ("absolute", "/etc/passwd", "fatal", "cannot open"),
    ("link-up", "/in/up", "fatal", "cannot open"),
    ("link-full", "/in/full", "fatal", "cannot open"),
    ("pipe", "/in/pipe", "fatal", "cannot open"),
    ("link-pipe", "/in/link-pipe", "fatal", "cannot open"),
];

fn granted(host: &Path) -> Table {
    let mut dir = Table::new();
    dir.insert(
        "host".to_owned(),
        host.to_string_lossy().into_owned().into(),
    );
    dir.insert("guest".to_owned(), "/in".into());
    let mut allow = Table::new();
    allow.insert("dirs".to_owned(), Value::Array(vec![dir.into()]));
    allow
}

#[test]
fn a_component_reaches_granted_files_only_and_no_pipe_blocks_it() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let inside = dir.path().join("inside");
    fs::create_dir(&inside)?;
    fs::write(inside.join("file"), "hello")?;
    fs::write(dir.path().join("secret"), "outside")?;
    symlink("file", inside.join("fine"))?;
    symlink("../secret", inside.join("up"))?;
    symlink(dir.path().join("secret"), inside.join("full"))?;
    mknodat(CWD, inside.join("pipe"), FileType::Fifo, Mode::RWXU, 0)?;
    symlink("pipe", inside.join("link-pipe"))?;
    let stubborn = guests::stubborn()?;
    let config = config_for("host-a", &etcd).grace("300ms");
    let config = CASES.iter().fold(config, |config, (name, path, ..)| {
        config.job(name, |job| {
            let job = job.plugin(&stubborn).key("allow", granted(&inside));
            job.config("mode", "open").config("path", *path).once()
        })
    });
    let mut host = HostProcess::start(&config)?;
    for (name, path, outcome, words) in CASES {
        let ended = ended(&host, name)?;
        ensure!(ended.outcome() == Some(outcome), "{path}: {ended}");
        ensure!(detail(&ended).contains(words), "{path}: {ended}");
    }
    host.wait_for(SLACK, |event| {
        event.is("guest") && event.text().is_some_and(|text| text.contains("is a pipe"))
    })?;
    // No thread is left in the opening of a pipe.
    let blocked = blocked_threads(host.pid())?;
    ensure!(blocked.is_empty(), "{blocked:?}");
    host.term()?;
    host.wait_exit(SLACK + Duration::from_secs(1))?;
    Ok(())
}

/// Threads of a process that wait in the kernel for the other end of a pipe.
fn blocked_threads(pid: u32) -> Result<Vec<String>> {
    let mut blocked = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("listing threads")? {
        let waits = fs::read_to_string(task?.path().join("wchan")).unwrap_or_default();
        if waits.contains("fifo_open") || waits.contains("wait_for_partner") {
            blocked.push(waits);
        }
    }
    Ok(blocked)
}
