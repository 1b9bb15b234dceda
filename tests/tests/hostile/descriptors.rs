//! A host that may have 1,024 descriptors, while clients of its store or its guests take all that they can get.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::Version;
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::printer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use toml::{Table, Value};

use crate::SLACK;
use crate::neighbour::Neighbour;
use crate::store_clients::{Embedded, OPENING};

/// The hard limit, which the host cannot raise.
const LIMIT: usize = 1024;
/// Connections that one client opens.
const CONNECTIONS: usize = 1500;
/// A job beside the ledger whose runs begin again and again.
const TICKER: &str = "ticker";

/// A program that becomes the host under this limit.
struct Limited {
    _dir: TempDir,
    program: PathBuf,
}

impl Limited {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("limited");
        let host = std::path::absolute(binaries::leasehold()?)?;
        let text = format!(
            "#!/bin/sh\nmkdir -p plugins\nulimit -n {LIMIT}\nexec '{}' \"$@\"\n",
            host.display()
        );
        fs::write(&program, text)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Self { _dir: dir, program })
    }
}

fn with_ticker(config: Config) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config.job(TICKER, |job| {
        job.plugin(&heartbeat).every("1s").args(&["1", "1"])
    }))
}

/// Waits for runs that begin from now on.
fn runs_begin(host: &HostProcess) -> Result<()> {
    for _ in 0..2 {
        let mark = host.mark();
        host.wait_after(mark, SLACK, |event| {
            event.is("run-started") && event.job() == Some(TICKER)
        })?;
    }
    Ok(())
}

fn open_descriptors(host: &HostProcess) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", host.pid()))?.count())
}

/// Lets this process have a descriptor for each connection.
fn raise_own_limit() -> Result<()> {
    let now = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS as u64 + 500;
    if now.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: now.maximum,
        };
        setrlimit(Resource::Nofile, raised).context("raising this process's limit")?;
    }
    Ok(())
}

#[test]
fn store_at_1024_descriptors_survives_1500_connections() -> Result<()> {
    let limited = Limited::new()?;
    raise_own_limit()?;
    let beside = Embedded::start_by(|config| {
        HostProcess::start_program(&limited.program, &with_ticker(config)?)
    })?;
    let before = open_descriptors(&beside.host)?;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        // One that the backlog has no place for counts as turned away.
        if let Ok(mut io) = beside.connect()
            && std::io::Write::write_all(&mut io, OPENING).is_ok()
        {
            open.push(io);
        }
    }
    beside.is_untouched()?;
    let most = open_descriptors(&beside.host)?;
    println!(
        "{} connections opened; descriptors of the host: {before}, then {most}",
        open.len()
    );
    ensure!(most < LIMIT * 3 / 4, "{most} descriptors");
    // Runs begin, and the host's own way into the store is open.
    runs_begin(&beside.host)?;
    let ctl = Etcdctl::new(Version::V3_5, &[beside.socket()])?;
    ctl.run(&["put", "honest", "client"])?;
    let stderr = beside.host.stderr();
    ensure!(!stderr.contains("Too many open files"), "{stderr}");
    drop(open);
    eventually(SLACK, "a connection over an address", || {
        beside.ctl()?.run(&["get", "honest"])
    })?;
    beside.is_untouched()?;
    beside.end()
}

/// Opens a file until that is refused, writes so, and sleeps with all of them open.
const OPENS: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 1024) "file")
    (data (i32.const 1040) "no more\n")
    (func (export "_start")
        (loop $next
            (br_if $next (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 4)
                (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))))
        (i32.store (i32.const 0) (i32.const 1040))
        (i32.store (i32.const 4) (i32.const 8))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 2064) (i32.const 1))
        (i64.store (i32.const 2072) (i64.const 3600000000000))
        (drop (call $poll (i32.const 2048) (i32.const 512) (i32.const 1) (i32.const 600)))))"#;

const OPENERS: [&str; 2] = ["opener-a", "opener-b"];

#[test]
fn open_files_at_1024_descriptors_leave_the_host_its_reserve() -> Result<()> {
    let limited = Limited::new()?;
    let dir = tempfile::tempdir()?;
    let plugin = dir.path().join("opens.wasm");
    fs::write(&plugin, wat::parse_str(OPENS)?)?;
    let files = dir.path().join("files");
    fs::create_dir(&files)?;
    fs::write(files.join("file"), "hello")?;
    let granted = Table::from_iter([
        (
            "host".to_owned(),
            Value::from(files.to_string_lossy().into_owned()),
        ),
        ("guest".to_owned(), "/in".into()),
    ]);
    let allow = Table::from_iter([("dirs".to_owned(), Value::Array(vec![granted.into()]))]);
    let mut made = Ok(());
    let beside = Neighbour::start_program(&limited.program, |config| {
        let config = OPENERS.iter().fold(config, |config, name| {
            config.job(name, |job| {
                let job = job.plugin(&plugin).key("allow", allow.clone());
                // Each alone would take what the host's own part is.
                job.limit("open_files", 1000)
            })
        });
        with_ticker(config.clone()).unwrap_or_else(|error| {
            made = Err(error);
            config
        })
    })?;
    made?;
    for opener in OPENERS {
        beside.host.wait_for(SLACK, |event| {
            event.is("guest") && event.job() == Some(opener) && event.text() == Some("no more")
        })?;
    }
    let told = |event: &Event| {
        event.is("guest")
            && event
                .text()
                .is_some_and(|text| text.contains("raise the host's limit on descriptors"))
    };
    ensure!(beside.host.has(told), "the remedy is missing");
    let most = open_descriptors(&beside.host)?;
    println!("{most} descriptors of the host");
    ensure!((LIMIT / 2..LIMIT * 3 / 4).contains(&most), "{most}");
    // Runs begin, and a new file is read, compiled in a process of its own, and run.
    runs_begin(&beside.host)?;
    let mark = beside.host.mark();
    beside.drop_in("small.wasm", &printer("small", 0)?)?;
    beside.host.wait_after(mark, SLACK, |event| {
        event.is("run-ended")
            && event.job() == Some("dropped.small")
            && event.outcome() == Some("done")
    })?;
    beside.untouched().map(drop)
}
