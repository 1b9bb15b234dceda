//! Files that are swapped for pipes and back, faster than they can be looked at and then opened.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::says::says;
use leasehold_tests::wait::eventually;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

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
            says(&format!("text {n}"), 0)?,
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
    let swaps = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for (file, other) in &pairs {
                    if renameat_with(CWD, file, CWD, other, RenameFlags::EXCHANGE).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        let began = Instant::now();
        let mut done = Ok(());
        while began.elapsed() < SWAPPING && done.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            done = beside.host.hangup();
        }
        is_over.store(true, Ordering::Relaxed);
        done
    })?;
    println!("{} swaps", swaps.load(Ordering::Relaxed));
    // Whichever half is a file by now, the files come back.
    for (file, other) in &pairs {
        if !fs::symlink_metadata(file)?.is_file() {
            renameat_with(CWD, file, CWD, other, RenameFlags::EXCHANGE)?;
        }
    }
    // A thread that opens a pipe as it should is through in a moment.
    eventually(Duration::from_secs(5), "no thread to be blocked", || {
        let blocked = blocked_threads(beside.host.pid())?;
        ensure!(blocked == 0, "{blocked} threads wait for a writer");
        Ok(())
    })?;
    let mark = beside.host.mark();
    beside.drop_in("last.wasm", &says("last", 0)?)?;
    beside.host.wait_after(mark, SLACK, |event| {
        event.is("guest") && event.text() == Some("last")
    })?;
    beside.untouched().map(drop)
}
