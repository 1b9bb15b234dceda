//! Time from the loss of a lock to the end of its guest, which is in the most expensive admitted call of each kind.
//!
//! `scripts/bench` runs this on a release build of the host, over its own event log. Nothing here asserts: the margin
//! that these numbers must fit is `stop_margin`, 250 ms by default.

mod components;
mod sink;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_lock::{ConnectOptions, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Job};
use leasehold_tests::host::HostProcess;
use toml::{Table, Value};

use components::Text;
use sink::Sink;

/// Longest wait for the end of a run; reaching it is an error of the machine or of the host.
const PATIENCE: Duration = Duration::from_mins(1);
/// Losses of each kind.
const LOSSES: usize = 20;
/// Time until the guest is in the middle of its calls.
const UNDER_WAY: Duration = Duration::from_millis(30);

/// A kind of call: its name, the plugin that repeats it, and its secret.
struct Kind {
    name: &'static str,
    plugin: Plugin,
    secret_lines: usize,
}

/// A plugin that repeats one call for ever.
enum Plugin {
    /// A command with this import and this body of its loop.
    Command {
        import: &'static str,
        body: &'static str,
    },
    /// A component, made for this server of requests.
    Component(fn(&str) -> Result<Vec<u8>>),
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
        plugin: Plugin::Command {
            import: WRITE,
            body,
        },
        secret_lines,
    }
}

const fn plain(name: &'static str, import: &'static str, body: &'static str) -> Kind {
    Kind {
        name,
        plugin: Plugin::Command { import, body },
        secret_lines: 0,
    }
}

const fn component(name: &'static str, plugin: fn(&str) -> Result<Vec<u8>>) -> Kind {
    Kind {
        name,
        plugin: Plugin::Component(plugin),
        secret_lines: 0,
    }
}

/// Texts of ASCII, of `Ā`, `é` and `乎`, and of characters that take two units.
const ASCII: u64 = 0x4141_4141_4141_4141;
const WIDE_8: u64 = 0x80c4_80c4_80c4_80c4;
const LATIN_8: u64 = 0xa9c3_a9c3_a9c3_a9c3;
const WIDE_16: u64 = 0x4e4e_4e4e_4e4e_4e4e;
const LATIN_16: u64 = 0x00e9_00e9_00e9_00e9;
const PAIRS_16: u64 = 0xde00_d83d_de00_d83d;

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
    component("fenced-kv.put of 1 MiB", components::put),
    component("fenced-kv.get of 1 MiB", components::get),
    component("fenced-kv.list-prefix of 3 MiB", components::list),
    component("a request's body, 64 KiB a write", components::upload),
    component("an answer's body, reads of 4 MiB", components::download),
    component("20 MiB of UTF-8, ASCII, to UTF-16", |_| {
        components::text(
            "utf8",
            "utf16",
            &Text {
                mib: 20,
                eight: ASCII,
                last: 0x4141,
            },
        )
    }),
    component("20 MiB of UTF-8, two bytes each, to UTF-16", |_| {
        components::text(
            "utf8",
            "utf16",
            &Text {
                mib: 20,
                eight: WIDE_8,
                last: 0x80c4,
            },
        )
    }),
    component("20 MiB of UTF-8 to Latin-1, then UTF-16", |_| {
        components::text(
            "utf8",
            "latin1+utf16",
            &Text {
                mib: 20,
                eight: LATIN_8,
                last: 0x80c4,
            },
        )
    }),
    component("30 MiB of UTF-8 to UTF-8", |_| {
        components::text(
            "utf8",
            "utf8",
            &Text {
                mib: 30,
                eight: WIDE_8,
                last: 0x80c4,
            },
        )
    }),
    component("24 MiB of UTF-16, three bytes each, to UTF-8", |_| {
        components::text(
            "utf16",
            "utf8",
            &Text {
                mib: 24,
                eight: WIDE_16,
                last: 0x4e4e,
            },
        )
    }),
    component("24 MiB of UTF-16, pairs, to UTF-8", |_| {
        components::text(
            "utf16",
            "utf8",
            &Text {
                mib: 24,
                eight: PAIRS_16,
                last: 0x4e4e,
            },
        )
    }),
    component("30 MiB of UTF-16 to UTF-16", |_| {
        components::text(
            "utf16",
            "utf16",
            &Text {
                mib: 30,
                eight: WIDE_16,
                last: 0x4e4e,
            },
        )
    }),
    component("30 MiB of UTF-16 to Latin-1, then UTF-16", |_| {
        components::text(
            "utf16",
            "latin1+utf16",
            &Text {
                mib: 30,
                eight: LATIN_16,
                last: 0x0100,
            },
        )
    }),
];

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let etcd = Etcd::start(Version::V3_5)?;
    let dir = tempfile::tempdir()?;
    let sink = Sink::start()?;
    // Names after `--bench` choose kinds by a part of their name.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    println!("loss known to guest gone, {LOSSES} losses of each kind; the margin is 250 ms");
    let is_chosen =
        |kind: &&Kind| chosen.is_empty() || chosen.iter().any(|part| kind.name.contains(part));
    for kind in KINDS.iter().filter(is_chosen) {
        let mut late = lost_in(&runtime, &etcd, dir.path(), kind, &sink)?;
        late.sort_unstable();
        println!(
            "  {:44} p50 {:.1?}, max {:.1?}",
            kind.name,
            late[late.len() / 2],
            late[late.len() - 1]
        );
    }
    Ok(())
}

/// Deletes the lock's entry under the guest, repeatedly.
fn lost_in(
    runtime: &tokio::runtime::Runtime,
    etcd: &Etcd,
    dir: &Path,
    kind: &Kind,
    sink: &Sink,
) -> Result<Vec<Duration>> {
    let (plugin, secret) = (dir.join("calls.wasm"), dir.join("secret"));
    std::fs::write(&plugin, assemble(&kind.plugin, &sink.authority())?)?;
    let lines: Vec<String> = (0..kind.secret_lines.max(1))
        .map(|n| format!("{n:04x}-key"))
        .collect();
    std::fs::write(&secret, lines.join("\n"))?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let file = Value::from(secret.to_string_lossy().into_owned());
    let key = Table::from_iter([("file".to_owned(), file)]);
    let config = guests::config_for("bench", etcd).job("calls", |job| {
        let job = job.plugin(&plugin).restart("10ms", "10ms");
        let job = grants(job, sink);
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
        ensure!(ended.outcome() == Some("lost"), "{}: {ended}", kind.name);
        let from = lost.boot_ns().context("lock-lost without a moment")?;
        let to = ended.stopped_ns().context("run-ended without a moment")?;
        late.push(Duration::from_nanos(to.saturating_sub(from)));
    }
    runtime.block_on(locks.close());
    Ok(late)
}

fn assemble(plugin: &Plugin, authority: &str) -> Result<Vec<u8>> {
    match plugin {
        Plugin::Command { import, body } => Ok(wat::parse_str(format!(
            r#"(module {import} (memory (export "memory") 513) (table 20000 funcref)
            (func (export "_start") (loop {body} (br 0))))"#
        ))?),
        Plugin::Component(plugin) => plugin(authority),
    }
}

/// Grants keys and requests, with the largest limits that admit the calls.
fn grants(job: Job, sink: &Sink) -> Job {
    let list = |text: &str| Value::Array(vec![text.into()]);
    let allow = Table::from_iter([
        ("kv".to_owned(), list("calls/")),
        ("http".to_owned(), list(&sink.origin())),
    ]);
    let job = job.key("allow", allow);
    job.limit("kv_value", "1MiB").limit("http_body", "1GiB")
}
