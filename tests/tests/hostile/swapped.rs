//! Files that are swapped for pipes and back, faster than they can be looked at and then opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::printer;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use toml::{Table, Value};

use crate::SLACK;
use crate::neighbour::Neighbour;

/// Time for which names are swapped: hundreds of readings of the folder, each of which may meet the moment.
const SWAPPING: Duration = Duration::from_secs(8);

/// Threads of a process that wait in the kernel for the other end of a pipe.
fn blocked_threads(pid: u32) -> Result<usize> {
    let mut blocked = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("listing threads")? {
        let waits = fs::read_to_string(task?.path().join("wchan")).unwrap_or_default();
        blocked += usize::from(waits.contains("fifo_open") || waits.contains("wait_for_partner"));
    }
    Ok(blocked)
}

/// Makes a pipe that nothing writes to.
fn pipe(path: &Path) -> Result<()> {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context("making a pipe")
}

/// Exchanges the two names of each pair until `is_over`; returns how often.
fn swap(pairs: &[(PathBuf, PathBuf)], is_over: &AtomicBool) -> u64 {
    let mut swaps = 0;
    while !is_over.load(Ordering::Relaxed) {
        for (file, other) in pairs {
            let swapped = renameat_with(CWD, file, CWD, other, RenameFlags::EXCHANGE);
            swaps += u64::from(swapped.is_ok());
        }
    }
    swaps
}

/// No thread of the host waits for the other end of a pipe.
fn none_is_blocked(host: &HostProcess) -> Result<()> {
    // A thread that opens a pipe as it should is through in a moment.
    eventually(Duration::from_secs(5), "no thread to be blocked", || {
        let blocked = blocked_threads(host.pid())?;
        ensure!(blocked == 0, "{blocked} threads wait for a writer");
        Ok(())
    })
}

#[test]
fn files_swapped_for_pipes_block_no_thread() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let dir = beside.host.dir().to_owned();
    let folder = dir.join("plugins");
    // The other halves lie outside, so that only the swaps are seen.
    let mut pairs = vec![(dir.join("leasehold.toml"), dir.join("leasehold.toml.pipe"))];
    for n in 0..4 {
        fs::write(
            folder.join(format!("{n}.wasm")),
            printer(&format!("text {n}"), 0)?,
        )?;
        fs::write(folder.join(format!("{n}.toml")), "retries = 1\n")?;
        for end in ["wasm", "toml"] {
            let name = format!("{n}.{end}");
            pairs.push((folder.join(&name), dir.join(format!("{name}.pipe"))));
        }
    }
    for (_, other) in &pairs {
        pipe(other)?;
    }
    let is_over = AtomicBool::new(false);
    let swaps = std::thread::scope(|scope| {
        let swapping = scope.spawn(|| swap(&pairs, &is_over));
        let began = Instant::now();
        let mut done = Ok(());
        while began.elapsed() < SWAPPING && done.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            done = beside.host.hangup();
        }
        is_over.store(true, Ordering::Relaxed);
        done.map(|()| swapping.join().unwrap_or_default())
    })?;
    println!("{swaps} swaps");
    // Whichever half is a file by now, the files come back.
    for (file, other) in &pairs {
        if !fs::symlink_metadata(file)?.is_file() {
            renameat_with(CWD, file, CWD, other, RenameFlags::EXCHANGE)?;
        }
    }
    none_is_blocked(&beside.host)?;
    let mark = beside.host.mark();
    beside.drop_in("last.wasm", &printer("last", 0)?)?;
    beside.host.wait_after(mark, SLACK, |event| {
        event.is("guest") && event.text() == Some("last")
    })?;
    beside.untouched().map(drop)
}

/// Opens and closes `file` for ever.
const OPENS: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 1024) "file")
    (func (export "_start")
        (loop $next
            (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 4)
                    (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
                (then (drop (call $close (i32.load (i32.const 8))))))
            (br $next))))"#;

#[test]
fn guest_that_opens_a_swapped_file_is_stopped_all_the_same() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let files = dir.path().join("files");
    fs::create_dir(&files)?;
    let pair = (files.join("file"), dir.path().join("pipe"));
    fs::write(&pair.0, "hello")?;
    pipe(&pair.1)?;
    let plugin = dir.path().join("opens.wasm");
    fs::write(&plugin, wat::parse_str(OPENS)?)?;
    let host = files.to_string_lossy().into_owned();
    let granted = Table::from_iter([
        ("host".to_owned(), Value::from(host)),
        ("guest".to_owned(), "/in".into()),
    ]);
    let allow = Table::from_iter([("dirs".to_owned(), Value::Array(vec![granted.into()]))]);
    let beside = Neighbour::start(|config| {
        config.job("opens", |job| {
            let job = job.plugin(&plugin).key("allow", allow);
            job.timeout("6s").restart("1m", "1m")
        })
    })?;
    let is_over = AtomicBool::new(false);
    let pairs = [pair];
    let ended = std::thread::scope(|scope| {
        let swapping = scope.spawn(|| swap(&pairs, &is_over));
        let is_end = |event: &Event| event.is("run-ended") && event.job() == Some("opens");
        let ended = beside.host.wait_for(SLACK, is_end);
        is_over.store(true, Ordering::Relaxed);
        println!("{} swaps", swapping.join().unwrap_or_default());
        ended
    })?;
    println!("{ended}");
    ensure!(ended.outcome() == Some("timeout"), "{ended}");
    // The library opens without a flag that would return at once: a pipe that took a file's place after the host's look
    // holds one thread for work that blocks, and neither the run nor the host's end.
    ensure!(blocked_threads(beside.host.pid())? <= 1);
    beside.untouched().map(drop)
}
