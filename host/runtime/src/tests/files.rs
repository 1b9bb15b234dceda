//! Granted directories: a guest reaches files in them, but nothing outside and no special files.
//!
//! The guests are preview-1 commands. Scenario tests cover components.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use leasehold_config::allow::Dir;

const READ: u64 = 2;
const WRITE: u64 = 64;
/// Error numbers of preview 1.
const OK: i32 = 0;
const ABSENT: i32 = 44;
const FORBIDDEN: i32 = 63;
const OUTSIDE: i32 = 76;
const CREATE: u32 = 1;

/// Makes a command that opens `path` under its first directory and exits with the host's answer.
fn opens(path: &str, rights: u64, flags: u32) -> String {
    let length = path.len();
    // Lookups follow links.
    let body = format!(
        "(call $proc_exit (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const {length})
            (i32.const {flags}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 900)))"
    );
    guests::command(path, &body).replace(
        "(memory (export",
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
        (memory (export"#,
    )
}

/// Makes a rig with a directory, granted as `/in`.
fn rig(write: bool) -> (Rig, PathBuf) {
    let mut rig = Rig::new();
    let inside = rig.dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("file"), "x").unwrap();
    fs::write(rig.dir.path().join("secret"), "x").unwrap();
    rig.grants.dirs = vec![Dir {
        host: inside.clone(),
        guest: "/in".to_owned(),
        write,
    }];
    (rig, inside)
}

async fn answer(rig: &Rig, path: &str, rights: u64, flags: u32) -> i32 {
    match rig.run(&opens(path, rights, flags)).await.report.end {
        RunEnd::Done(None) => OK,
        RunEnd::Exit(code) => code,
        other => panic!("{path}: {other:?}"),
    }
}

#[tokio::test]
async fn files_inside_are_opened_and_nothing_outside_is() {
    let (rig, inside) = rig(false);
    symlink("../secret", inside.join("up")).unwrap();
    symlink(rig.dir.path().join("secret"), inside.join("full")).unwrap();
    symlink("/", inside.join("root")).unwrap();
    symlink("file", inside.join("fine")).unwrap();
    assert_eq!(answer(&rig, "file", READ, 0).await, OK);
    assert_eq!(answer(&rig, "fine", READ, 0).await, OK);
    assert_eq!(answer(&rig, "absent", READ, 0).await, ABSENT);
    for path in [
        "../secret",
        "../inside/file",
        "/etc/passwd",
        "up",
        "full",
        "root/etc/passwd",
        "./../secret",
    ] {
        let answer = answer(&rig, path, READ, 0).await;
        assert!([FORBIDDEN, OUTSIDE].contains(&answer), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_directory_is_read_only_unless_it_says_otherwise() {
    let (reader, inside) = rig(false);
    assert_eq!(answer(&reader, "file", READ | WRITE, 0).await, FORBIDDEN);
    assert_eq!(answer(&reader, "new", WRITE, CREATE).await, FORBIDDEN);
    assert!(!inside.join("new").exists());
    let (writer, inside) = rig(true);
    assert_eq!(answer(&writer, "new", WRITE, CREATE).await, OK);
    assert!(inside.join("new").exists());
}

#[tokio::test]
async fn without_a_grant_there_is_no_directory_at_all() {
    let mut rig = rig(false).0;
    rig.grants.dirs.clear();
    assert_ne!(answer(&rig, "file", READ, 0).await, OK);
}

#[tokio::test]
async fn pipes_sockets_and_devices_are_not_opened_and_logged() {
    let (rig, inside) = rig(true);
    mknodat(CWD, inside.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    symlink("pipe", inside.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();
    for path in ["pipe", "link", "socket"] {
        for rights in [READ, WRITE] {
            let ran = rig.run(&opens(path, rights, 0)).await;
            assert_eq!(ran.report.end, RunEnd::Exit(FORBIDDEN), "{path}");
            let said = &ran.lines()[0].text;
            assert!(said.contains("is a pipe, a socket or a device"), "{said}");
        }
    }
}

#[tokio::test]
async fn missing_directory_is_named_and_the_run_does_not_start() {
    let (rig, inside) = rig(false);
    assert_eq!(Runtime::check_dirs(&rig.grants), Ok(()));
    fs::remove_dir_all(&inside).unwrap();
    let ran = rig.run(&opens("file", READ, 0)).await.report;
    assert_eq!(ran.admitted, 0);
    let end = ran.end;
    let RunEnd::Unstarted(why) = &end else {
        panic!("{end:?}")
    };
    assert_eq!(Runtime::check_dirs(&rig.grants).as_ref(), Err(why));
    assert!(
        why.contains("inside") && why.contains("cannot be opened"),
        "{why}"
    );
}

/// Replaces a file by a link to the outside, and the link by the file, until `stop` is set.
fn swap(inside: &Path, outside: &Path, stop: &AtomicBool) {
    let (file, link) = (inside.join("swapped"), inside.join("other"));
    fs::write(&file, "inside").unwrap();
    symlink(outside, &link).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(CWD, &file, CWD, &link, flags).unwrap();
    }
}

#[tokio::test]
async fn a_link_that_is_swapped_in_while_the_guest_runs_leads_nowhere() {
    let (rig, inside) = rig(false);
    let outside = rig.dir.path().join("secret");
    fs::write(&outside, "outside").unwrap();
    // Opens and reads the file a thousand times, and traps if it begins with an `o`.
    let body = r"(local $n i32)
        (loop $again
            (if (i32.eqz (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 7)
                    (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 900)))
                (then
                    (i32.store (i32.const 0) (i32.const 2000))
                    (i32.store (i32.const 4) (i32.const 1))
                    (drop (call $fd_read (i32.load (i32.const 900)) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (drop (call $fd_close (i32.load (i32.const 900))))
                    (if (i32.eq (i32.load8_u (i32.const 2000)) (i32.const 0x6f)) (then unreachable))
                    (i32.store (i32.const 904) (i32.add (i32.load (i32.const 904)) (i32.const 1)))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const 1000))))
        ;; It must have read the file at least once to have shown anything.
        (if (i32.eqz (i32.load (i32.const 904))) (then unreachable))";
    let wat = guests::command("swapped", body).replace(
        "(memory (export",
        r#"(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
        (memory (export"#,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let stop = stop.clone();
        move || swap(&inside, &outside, &stop)
    });
    let end = rig.run(&wat).await.report.end;
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert_eq!(end, RunEnd::Done(None));
}
