//! A guest in the middle of the longest host call when its lock is lost: it has ended before the next holder starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::guests::{Job, config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::proxy::{FaultProxy, Mode};
use tempfile::TempDir;
use toml::{Table, Value};

use crate::SLACK;
use crate::neighbour::Neighbour;

/// From the deadline to the guest's end: a tenth of the longest call, eight times the default margin.
const LATE: Duration = Duration::from_secs(2);

/// A preview-1 command that writes 4 MB of newlines in one call, for ever.
pub(crate) const WRITES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 70)
    (func (export "_start")
        (memory.fill (i32.const 65536) (i32.const 10) (i32.const 4190000))
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const 4190000))
        (loop
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br 0))))"#;

/// A plugin and a secret of so many lines.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new(lines: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("writes.wasm"), wat::parse_str(WRITES)?)?;
        let secret = dir.path().join("secret");
        let text: Vec<String> = (0..lines).map(|n| format!("{n:04x}-key")).collect();
        fs::write(&secret, text.join("\n"))?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        Ok(Self { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn job(&self, job: Job) -> Job {
        let secret = self.path("secret").to_string_lossy().into_owned();
        let file = Table::from_iter([("file".to_owned(), Value::from(secret))]);
        let secrets = Table::from_iter([("key".to_owned(), Value::from(file))]);
        job.plugin(&self.path("writes.wasm"))
            .key("secrets", secrets)
            .ttl("3s")
    }
}

#[test]
fn the_next_run_starts_after_the_longest_write_has_ended() -> Result<()> {
    // The longest secret holds about 7,200 lines.
    for lines in [102, 7_200] {
        taken_over_in_the_middle_of_a_write(&Files::new(lines)?)?;
    }
    Ok(())
}

fn taken_over_in_the_middle_of_a_write(files: &Files) -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let proxy = FaultProxy::start(&beside.etcd.endpoint())?;
    let holder = config("host-z", &proxy.endpoint()).grace("500ms");
    let holder = holder.job("subject", |job| files.job(job));
    let mut holder = HostProcess::start(&holder)?;
    let started = holder.wait_for(SLACK, |event| event.is("run-started"))?;
    let next = next_holder(&beside.etcd, files)?;
    next.wait_for(SLACK, |event| event.is("waiting"))?;
    proxy.set(Mode::DropBoth);
    let taken = next.wait_for(SLACK, |event| event.is("run-started"))?;
    let ended = holder.wait_for(SLACK, |event| event.is("run-ended"))?;
    ensure!(
        ended.outcome() == Some("lost") && ended.run() == started.run(),
        "{ended}"
    );
    let stopped = ended.stopped_ns().context("no end")?;
    let deadline = ended.deadline_ns().context("no deadline")?;
    let late = Duration::from_nanos(stopped.saturating_sub(deadline));
    println!("gone {late:?} after the deadline");
    ensure!(late < LATE, "gone {late:?} after the deadline");
    let begun = taken.boot_ns().context("no moment")?;
    ensure!(
        stopped < begun,
        "the next run began {} ns before the end",
        stopped - begun
    );
    proxy.set(Mode::Pass);
    holder.term()?;
    holder.wait_exit(SLACK)?;
    drop(next);
    beside.untouched().map(drop)
}

fn next_holder(etcd: &Etcd, files: &Files) -> Result<HostProcess> {
    let next = config("host-y", &etcd.endpoint()).grace("500ms");
    HostProcess::start(&next.job("subject", |job| files.job(job)))
}
