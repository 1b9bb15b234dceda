//! Time from the loss of a lock to the end of its guest, which is in the most expensive admitted call of each kind.
//!
//! `scripts/bench` runs this on a release build of the host, over its own event log. Nothing here asserts: the margin
//! that these numbers must fit is `stop_margin`, 250 ms by default.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use leasehold_lock::{ConnectOptions, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use toml::{Table, Value};

/// A run that takes this long to end is a fault of the machine or of ours.
const PATIENCE: Duration = Duration::from_mins(1);
/// Losses of each kind.
const LOSSES: usize = 20;
/// For the guest to be in the middle of its calls.
const UNDER_WAY: Duration = Duration::from_millis(30);

/// A kind of call: its name, its imports, and the body of the loop that repeats it.
struct Kind {
    name: &'static str,
    import: &'static str,
    body: &'static str,
    secret_lines: usize,
}

const WRITE: &str = r#"(import "wasi_snapshot_preview1" "fd_write" (func $call (param i32 i32 i32 i32) (result i32)))"#;
const NEWLINES: &str = "(memory.fill (i32.const 65536) (i32.const 10) (i32.const 4190000))
    (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 4190000))
    (drop (call $call (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";
const LETTERS: &str = "(memory.fill (i32.const 65536) (i32.const 108) (i32.const 4190000))
    (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 4190000))
    (drop (call $call (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";

const fn write(name: &'static str, body: &'static str, secret_lines: usize) -> Kind {
    Kind {
        name,
        import: WRITE,
        body,
        secret_lines,
    }
}

const fn plain(name: &'static str, import: &'static str, body: &'static str) -> Kind {
    Kind {
        name,
        import,
        body,
        secret_lines: 0,
    }
}

const KINDS: &[Kind] = &[
    write("4 MB of newlines", NEWLINES, 0),
    write("4 MB of newlines, secret of 102 lines", NEWLINES, 102),
    write("4 MB of newlines, secret of 7,200 lines", NEWLINES, 7_200),
    write("4 MB in one line, secret of 7,200 lines", LETTERS, 7_200),
    write(
        "500,000 empty buffers",
        "(drop (call $call (i32.const 1) (i32.const 65536) (i32.const 500000) (i32.const 8)))",
        0,
    ),
    plain(
        "sock_recv, which a library warns of",
        r#"(import "wasi_snapshot_preview1" "sock_recv" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))"#,
        "(drop (call $call (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 16)))",
    ),
    plain(
        "poll_oneoff of 400 clocks",
        r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $call (param i32 i32 i32 i32) (result i32)))"#,
        "(drop (call $call (i32.const 65536) (i32.const 8388608) (i32.const 400) (i32.const 8)))",
    ),
    plain(
        "random_get of 64 KiB",
        r#"(import "wasi_snapshot_preview1" "random_get" (func $call (param i32 i32) (result i32)))"#,
        "(drop (call $call (i32.const 65536) (i32.const 65536)))",
    ),
    plain(
        "memory.fill of 32 MiB",
        "",
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))",
    ),
    plain(
        "memory.copy of 32 MiB",
        "",
        "(memory.copy (i32.const 1) (i32.const 0) (i32.const 33554431))",
    ),
    plain(
        "table.fill of 20,000",
        "",
        "(table.fill (i32.const 0) (ref.null func) (i32.const 20000))",
    ),
];

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    println!("loss known to guest gone, {LOSSES} losses of each kind; the margin is 250 ms");
    for kind in KINDS {
        let mut late = lost_in(&runtime, &etcd, dir.path(), kind)?;
        late.sort_unstable();
        println!(
            "  {:42} p50 {:.1?}, max {:.1?}",
            kind.name,
            late[late.len() / 2],
            late[late.len() - 1]
        );
    }
    Ok(())
}

/// Deletes the lock's entry under the guest, again and again.
fn lost_in(
    runtime: &tokio::runtime::Runtime,
    etcd: &Etcd,
    dir: &Path,
    kind: &Kind,
) -> Result<Vec<Duration>> {
    let (plugin, secret) = (dir.join("calls.wasm"), dir.join("secret"));
    let wat = format!(
        r#"(module {} (memory (export "memory") 513) (table 20000 funcref)
            (func (export "_start") (loop {} (br 0))))"#,
        kind.import, kind.body
    );
    std::fs::write(&plugin, wat::parse_str(wat)?)?;
    let lines: Vec<String> = (0..kind.secret_lines.max(1))
        .map(|n| format!("{n:04x}-key"))
        .collect();
    std::fs::write(&secret, lines.join("\n"))?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let file = Value::from(secret.to_string_lossy().into_owned());
    let key = Table::from_iter([("file".to_owned(), file)]);
    let config = guests::config_for("bench", etcd).job("calls", |job| {
        let job = job.plugin(&plugin).restart("10ms", "10ms");
        if kind.secret_lines == 0 {
            return job;
        }
        job.key(
            "secrets",
            Table::from_iter([("key".to_owned(), Value::from(key))]),
        )
    });
    let host = HostProcess::start(&config)?;
    let locks = runtime.block_on(Locks::connect(ConnectOptions::new([etcd.endpoint()])))?;
    let mut late = Vec::new();
    let mut mark = 0;
    for _ in 0..LOSSES {
        host.wait_after(mark, PATIENCE, |event| event.is("run-started"))?;
        std::thread::sleep(UNDER_WAY);
        mark = host.mark();
        let entries = runtime.block_on(locks.kv().keys("/leasehold/locks/calls/"))?;
        let entry = entries.first().context("the lock is free")?;
        runtime.block_on(locks.kv().delete(entry))?;
        let lost = host.wait_after(mark, PATIENCE, |event| event.is("lock-lost"))?;
        let ended = host.wait_after(mark, PATIENCE, |event| event.is("run-ended"))?;
        let from = lost.boot_ns().context("lock-lost without a moment")?;
        let to = ended.stopped_ns().context("run-ended without a moment")?;
        late.push(Duration::from_nanos(to.saturating_sub(from)));
    }
    runtime.block_on(locks.close());
    Ok(late)
}
