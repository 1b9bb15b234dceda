//! Changes of guests to writable directories, up to their limits. Each guest runs as a core module, and as the
//! component that the engine's adapter makes of it.

use std::fs;

use wit_component::StringEncoding;

use super::*;
use leasehold_config::allow::Dir;

/// Error numbers of preview 1.
const NO_SPACE: u32 = 51;
const NOT_PERMITTED: u32 = 63;
const NO_MEMORY: u32 = 48;

/// Form of a guest. Preview 1 has more error numbers for "too many" than components have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Module,
    Component,
}

impl Shape {
    const BOTH: [Self; 2] = [Self::Module, Self::Component];

    /// Returns the error number for too many open files.
    const fn too_many(self) -> u32 {
        match self {
            Self::Module => 33,
            Self::Component => 19,
        }
    }
}

/// Makes a guest whose body may call these functions, each of which traps if the answer is not the expected one:
/// `$open name length flags append answer`, `$write length answer`, `$at place`, `$close`, `$resize length answer`,
/// `$symlink name length answer`, `$mkdir answer`, `$unlink`, `$rename`, `$list fd answer`. Names are `file` at 1024
/// and `next` at 1040. The open file's number is at 900.
fn guest(shape: Shape, body: &str) -> Vec<u8> {
    let (entry, end) = match shape {
        Shape::Module => (r#"(func (export "_start")"#, ""),
        Shape::Component => (
            r#"(global $top (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
                (global.get $top)
                (global.set $top (i32.add (global.get $top) (local.get 3))))
            (func (export "leasehold:job/guest@1.1.0#run") (result i32)"#,
            "(i32.const 800)",
        ),
    };
    let wat = format!(
        r#"(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
    (import "wasi_snapshot_preview1" "path_symlink" (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_create_directory" (func $path_mkdir (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_rename" (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_readdir" (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
    (memory (export "memory") 64)
    (data (i32.const 1024) "file")
    (data (i32.const 1040) "next")
    (data (i32.const 1056) "a/../../x")
    (data (i32.const 1072) "/full")
    (data (i32.const 1088) "third")
    (func $expect (param $answer i32) (param $expected i32)
        (if (i32.ne (local.get $answer) (local.get $expected)) (then unreachable)))
    (func $open (param $name i32) (param $length i32) (param $flags i32) (param $append i32) (param $answer i32)
        (call $expect (call $path_open (i32.const 3) (i32.const 1) (local.get $name) (local.get $length)
            (local.get $flags)
            (select (i64.const 0) (i64.const 66) (i32.eq (local.get $flags) (i32.const 2))) (i64.const 0) (local.get $append) (i32.const 900)) (local.get $answer)))
    (func $write (param $length i32) (param $answer i32)
        (i32.store (i32.const 0) (i32.const 8192))
        (i32.store (i32.const 4) (local.get $length))
        (call $expect (call $fd_write (i32.load (i32.const 900)) (i32.const 0) (i32.const 1) (i32.const 8))
            (local.get $answer)))
    (func $at (param $place i64)
        (call $expect (call $fd_seek (i32.load (i32.const 900)) (local.get $place) (i32.const 0) (i32.const 904))
            (i32.const 0)))
    (func $close (call $expect (call $fd_close (i32.load (i32.const 900))) (i32.const 0)))
    (func $resize (param $length i64) (param $answer i32)
        (call $expect (call $set_size (i32.load (i32.const 900)) (local.get $length)) (local.get $answer)))
    (func $symlink (param $name i32) (param $length i32) (param $answer i32)
        (call $expect (call $path_symlink (local.get $name) (local.get $length) (i32.const 3) (i32.const 1040)
            (i32.const 4)) (local.get $answer)))
    (func $mkdir (param $answer i32)
        (call $expect (call $path_mkdir (i32.const 3) (i32.const 1040) (i32.const 4)) (local.get $answer)))
    (func $unlink (call $expect (call $path_unlink (i32.const 3) (i32.const 1040) (i32.const 4)) (i32.const 0)))
    (func $rename (call $expect (call $path_rename (i32.const 3) (i32.const 1040) (i32.const 4) (i32.const 3)
        (i32.const 1024) (i32.const 4)) (i32.const 0)))
    (func $list (param $fd i32) (param $answer i32)
        (call $expect (call $readdir (local.get $fd) (i32.const 8192) (i32.const 4096) (i64.const 0) (i32.const 908))
            (local.get $answer)))
    {entry} {body} {end}))"#
    );
    let mut bytes = wat::parse_str(wat).unwrap();
    if shape == Shape::Component {
        let mut resolve = wit_parser::Resolve::default();
        let (package, _) = resolve.push_path("../../plugins/wit").unwrap();
        let world = resolve.select_world(&[package], Some("job")).unwrap();
        wit_component::embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8)
            .unwrap();
    }
    bytes
}

/// Makes a rig with a directory that guests may write to.
fn rig() -> (Rig, PathBuf) {
    let mut rig = Rig::new();
    let inside = rig.dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    rig.grants.dirs = vec![Dir {
        host: inside.clone(),
        guest: "/in".to_owned(),
        write: true,
    }];
    (rig, inside)
}

/// Runs a guest to its end, and returns the remarks.
async fn run(rig: &Rig, shape: Shape, body: &str) -> Vec<String> {
    let plugin = rig.load_bytes(&guest(shape, body)).await.unwrap();
    let long = authority(lasting(Duration::from_mins(1)));
    let ran = rig.run_plugin(&plugin, long, spec()).await;
    let trace = &ran.report.backtrace;
    assert_eq!(ran.report.end, RunEnd::Done(None), "{shape:?} {trace:?}");
    ran.lines().iter().map(|line| line.text.clone()).collect()
}

const OPEN: &str =
    "(call $open (i32.const 1024) (i32.const 4) (i32.const 1) (i32.const 0) (i32.const 0))";
const OPEN_NEXT: &str =
    "(call $open (i32.const 1040) (i32.const 4) (i32.const 1) (i32.const 0) (i32.const 0))";

fn write(length: u32, answer: u32) -> String {
    format!("(call $write (i32.const {length}) (i32.const {answer}))")
}

#[tokio::test]
async fn a_file_grows_to_the_limit_and_is_written_over_without_end() {
    for shape in Shape::BOTH {
        let (mut rig, inside) = rig();
        rig.limits.disk_bytes = 10_000;
        let over = format!("(call $at (i64.const 0)) {}", write(4_000, 0));
        let body = [
            OPEN,
            &write(4_000, 0),
            &write(4_000, 0),
            &over.repeat(5),
            "(call $at (i64.const 8000))",
            &write(4_000, NO_SPACE),
            // A hole counts with its full size, which later writes may fill.
            "(call $resize (i64.const 20000) (i32.const 51))",
            "(call $at (i64.const 1000000))",
            &write(1, NO_SPACE),
            "(call $resize (i64.const 0) (i32.const 0)) (call $at (i64.const 0))",
            &write(4_000, 0),
            &write(4_000, 0),
        ];
        let said = run(&rig, shape, &body.concat()).await;
        assert_eq!(fs::metadata(inside.join("file")).unwrap().len(), 8_000);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("raise `disk` in [jobs.demo.limits]"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn limit_reached_by_a_dropped_in_job_is_raised_in_its_sidecar() {
    let (mut rig, _inside) = rig();
    rig.limits.disk_bytes = 4_096;
    rig.job = JobSource::dropped("dropped.demo", Path::new("plugins/demo.wasm"));
    let body = [OPEN, &write(4_000, 0), &write(4_000, NO_SPACE)].concat();
    let said = run(&rig, Shape::BOTH[0], &body).await;
    let remedy = "raise `disk` under [limits] in plugins/demo.toml, and in [plugins.limits] if that allows less";
    assert!(said[0].contains(remedy), "{said:?}");
}

#[tokio::test]
async fn appended_bytes_count_wherever_the_cursor_is() {
    for shape in Shape::BOTH {
        let (mut rig, _inside) = rig();
        rig.limits.disk_bytes = 10_000;
        let append =
            "(call $open (i32.const 1024) (i32.const 4) (i32.const 1) (i32.const 1) (i32.const 0))";
        let again = format!("(call $at (i64.const 0)) {}", write(4_000, 0));
        let body = [
            append,
            &again.repeat(2),
            "(call $at (i64.const 0))",
            &write(4_000, NO_SPACE),
        ];
        run(&rig, shape, &body.concat()).await;
    }
}

#[tokio::test]
async fn file_replaced_many_times_costs_one_file() {
    for shape in Shape::BOTH {
        let (mut rig, _inside) = rig();
        rig.limits.disk_bytes = 10_000;
        rig.limits.disk_files = 2;
        let replace = [OPEN_NEXT, &write(4_000, 0), "(call $close) (call $rename)"].concat();
        let delete = [OPEN_NEXT, &write(4_000, 0), "(call $close) (call $unlink)"].concat();
        let said = run(&rig, shape, &(replace.repeat(8) + &delete.repeat(8))).await;
        assert_eq!(said, [""; 0]);
    }
}

#[tokio::test]
async fn a_deleted_file_that_is_still_open_still_counts() {
    for shape in Shape::BOTH {
        let (mut rig, _inside) = rig();
        rig.limits.disk_bytes = 10_000;
        let body = [
            OPEN_NEXT,
            &write(8_000, 0),
            "(call $unlink)",
            OPEN,
            &write(4_000, NO_SPACE),
        ];
        run(&rig, shape, &body.concat()).await;
    }
}

#[tokio::test]
async fn files_links_and_directories_are_made_up_to_their_number() {
    for shape in Shape::BOTH {
        let (mut rig, inside) = rig();
        rig.limits.disk_files = 2;
        let third = "(call $open (i32.const 1088) (i32.const 5) (i32.const 1) (i32.const 0) (i32.const 51))";
        let body = [
            // A file that already exists is not counted as made.
            OPEN,
            "(call $close)",
            OPEN,
            "(call $close)",
            OPEN_NEXT,
            "(call $close)",
            third,
            "(call $mkdir (i32.const 51))",
            "(call $symlink (i32.const 1024) (i32.const 4) (i32.const 51))",
            "(call $unlink)",
            "(call $mkdir (i32.const 0))",
        ];
        let said = run(&rig, shape, &body.concat()).await;
        assert!(inside.join("next").is_dir());
        assert!(said[0].contains("raise `disk_files`"), "{said:?}");
    }
}

#[tokio::test]
async fn a_link_that_might_lead_out_is_not_made() {
    for shape in Shape::BOTH {
        let (rig, inside) = rig();
        let body = format!(
            "(call $symlink (i32.const 1056) (i32.const 9) (i32.const {NOT_PERMITTED}))
            (call $symlink (i32.const 1072) (i32.const 5) (i32.const {NOT_PERMITTED}))
            (call $symlink (i32.const 1024) (i32.const 4) (i32.const 0))"
        );
        let said = run(&rig, shape, &body).await;
        let target = fs::read_link(inside.join("next")).unwrap();
        assert_eq!(target.to_str(), Some("file"));
        assert!(said[0].contains("may lead out"), "{said:?}");
    }
}

#[tokio::test]
async fn open_files_are_limited_and_closed_ones_do_not_count() {
    for shape in Shape::BOTH {
        let (mut rig, _inside) = rig();
        rig.limits.open_files = 3;
        let refused = format!(
            "(call $open (i32.const 1024) (i32.const 4) (i32.const 1) (i32.const 0) (i32.const {}))",
            shape.too_many()
        );
        let once = [OPEN, "(call $close)"].concat();
        let body = [
            &once.repeat(10),
            OPEN,
            OPEN,
            OPEN,
            &refused,
            "(call $close)",
            OPEN,
            &refused,
        ];
        let said = run(&rig, shape, &body.concat()).await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("raise `open_files`"), "{said:?}");
    }
}

#[tokio::test]
async fn directory_larger_than_one_call_is_not_listed() {
    for shape in Shape::BOTH {
        let (mut rig, inside) = rig();
        rig.limits.host_call_bytes = 64 * 1024;
        for many in [inside.clone(), inside.join("next")] {
            fs::create_dir_all(&many).unwrap();
            for n in 0..1_000 {
                fs::write(many.join(n.to_string()), "").unwrap();
            }
        }
        // Lists the granted directory, then one that the guest opened, then the granted one with a limit that suffices.
        let list = format!("(call $list (i32.const 3) (i32.const {NO_MEMORY}))");
        let said = run(&rig, shape, &list).await;
        assert!(said[0].contains("raise `host_call`"), "{said:?}");
        let open =
            "(call $open (i32.const 1040) (i32.const 4) (i32.const 2) (i32.const 0) (i32.const 0))";
        let inner = format!("(call $list (i32.load (i32.const 900)) (i32.const {NO_MEMORY}))");
        run(&rig, shape, &[open, &inner].concat()).await;
        rig.limits.host_call_bytes = 256 * 1024;
        run(&rig, shape, "(call $list (i32.const 3) (i32.const 0))").await;
    }
}
