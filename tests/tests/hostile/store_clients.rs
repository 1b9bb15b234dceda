//! Hostile clients of the embedded store of a host at work: its own job never notices.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Version;
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::process;
use leasehold_tests::wait::eventually;
use tempfile::TempDir;

use crate::SLACK;

const LEDGER: &str = "ledger";

/// A host that brings its store, listening for everybody on this machine, with a ledger at work on it.
pub(crate) struct Embedded {
    // Before the directory, which it writes to.
    pub(crate) host: HostProcess,
    data: TempDir,
    pub(crate) address: String,
    mark: usize,
}

impl Embedded {
    fn start() -> Result<Self> {
        Self::start_by(|config| HostProcess::start(&config))
    }

    /// A host that `start` starts, with this configuration or more.
    pub(crate) fn start_by(start: impl FnOnce(Config) -> Result<HostProcess>) -> Result<Self> {
        let ledger = guests::ledger()?;
        let data = tempfile::tempdir()?;
        let config = Config::default()
            .host("id", "host-a")
            .host("data_dir", data.path().to_string_lossy().into_owned())
            .store("embedded", true)
            .store("listen", "127.0.0.1:0")
            .store("history", 1000)
            .grace("500ms")
            .job(LEDGER, |job| {
                let job = job.plugin(&ledger).ttl("6s").allow_kv(&["ledger/"]);
                job.config("pause_ms", 20).config("transfers", 1_000_000)
            });
        let host = start(config)?;
        let opened = host.wait_for(SLACK, |event| event.is("store-opened"))?;
        let endpoint = opened.value()["endpoints"][0].as_str();
        let address = endpoint.and_then(|endpoint| endpoint.strip_prefix("http://"));
        let address = address.context("no address")?.to_owned();
        host.wait_for(SLACK, |event| {
            event.is("run-started") && event.job() == Some(LEDGER)
        })?;
        let mark = host.mark();
        Ok(Self {
            host,
            data,
            address,
            mark,
        })
    }

    pub(crate) fn ctl(&self) -> Result<Etcdctl> {
        Etcdctl::new(Version::V3_5, &[format!("http://{}", self.address)])
    }

    /// The endpoint of the private socket.
    pub(crate) fn socket(&self) -> String {
        let socket = self.data.path().join("store/store.sock");
        format!("unix://{}", socket.display())
    }

    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let io = TcpStream::connect(&self.address).context("connecting")?;
        io.set_write_timeout(Some(Duration::from_secs(2)))?;
        io.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(io)
    }

    /// MiB that the host takes at the moment.
    fn resident(&self) -> Result<u64> {
        Ok(process::resident(self.host.pid())? / 1024)
    }

    /// The revision of the ledger's latest write, seen past all connections: through the private socket.
    fn written(&self) -> Result<i64> {
        let ctl = Etcdctl::new(Version::V3_5, &[self.socket()])?;
        let text = ctl.run(&["get", "/leasehold/kv/ledger/", "--prefix", "-w", "json"])?;
        let read: serde_json::Value = serde_json::from_str(&text)?;
        let kvs = read["kvs"].as_array().context("the ledger has no keys")?;
        let latest = kvs.iter().filter_map(|kv| kv["mod_revision"].as_i64());
        latest.max().context("the ledger was never written")
    }

    /// Asserts that the ledger's run holds its lock and writes.
    pub(crate) fn is_untouched(&self) -> Result<()> {
        let before = self.written()?;
        eventually(SLACK, "the ledger to write again", || {
            let now = self.written()?;
            ensure!(now > before, "still at revision {now}");
            Ok(())
        })?;
        let events = self.host.events();
        let hurt: Vec<&Event> = events
            .iter()
            .skip(self.mark)
            .filter(|event| event.job() == Some(LEDGER))
            .filter(|event| {
                event.is("lock-lost") || event.is("run-ended") || event.is("run-started")
            })
            .collect();
        ensure!(hurt.is_empty(), "{hurt:?}");
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<()> {
        self.host.term()?;
        let code = self.host.wait_exit(SLACK)?.code();
        ensure!(code == Some(0), "{code:?}: {}", self.host.stderr());
        Ok(())
    }
}

pub(crate) const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The headers of a put that never comes.
fn unfinished(stream: u32) -> Vec<u8> {
    let path = "/etcdserverpb.KV/Put";
    let mut block = vec![0x83, 0x86, 0x04, 20];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x01x\x0f\x10\x10application/grpc");
    let length = u8::try_from(block.len()).unwrap_or(0);
    [&[0, 0, length, 1, 4][..], &stream.to_be_bytes(), &block].concat()
}

#[test]
fn clients_that_close_nothing_cost_little_beside_the_ledger() -> Result<()> {
    /// MiB. Measured: 93; without bounds, these streams alone take 550 in a release build.
    const BOUND: u64 = 300;
    let beside = Embedded::start()?;
    beside.is_untouched()?;
    let before = beside.resident()?;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut io = beside.connect()?;
        let mut reader = io.try_clone()?;
        // Streams beyond the bound are refused, and a server whose refusals are not read stops reading.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        io.write_all(OPENING)?;
        for place in 0..3000 {
            if io.write_all(&unfinished(2 * place + 1)).is_err() {
                break;
            }
        }
        open.push(io);
    }
    // And some that send nothing, or unknown bytes.
    for bytes in [
        &b""[..],
        b"PRI * HTTP",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02",
    ] {
        for _ in 0..20 {
            let mut io = beside.connect()?;
            io.write_all(bytes)?;
            open.push(io);
        }
    }
    beside.is_untouched()?;
    // The last requests are still to be read.
    let mut taken = 0;
    for _ in 0..15 {
        std::thread::sleep(Duration::from_millis(200));
        taken = taken.max(beside.resident()?.saturating_sub(before));
    }
    println!("{taken} MiB above {before} MiB");
    ensure!(taken < BOUND, "{taken} MiB");
    drop(open);
    let ctl = beside.ctl()?;
    ctl.run(&["put", "honest", "client"])?;
    ctl.run(&["endpoint", "health", "--cluster"])?;
    beside.is_untouched()?;
    beside.end()
}

#[test]
fn an_endless_writer_fills_no_store_beside_the_ledger() -> Result<()> {
    let beside = Embedded::start()?;
    let ctl = beside.ctl()?;
    let value = "x".repeat(100_000);
    for _ in 0..60 {
        ctl.run(&["put", "one", &value])?;
    }
    beside.is_untouched()?;
    ensure!(ctl.run(&["alarm", "list"])?.is_empty());
    beside.is_untouched()?;
    beside.end()
}

#[test]
fn an_older_http_gets_one_answer_and_nothing_else() -> Result<()> {
    let beside = Embedded::start()?;
    let mut io = beside.connect()?;
    io.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")?;
    io.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    io.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    ensure!(
        answer.ends_with(r#"{"health":"true","reason":""}"#),
        "{answer}"
    );
    beside.is_untouched()?;
    beside.end()
}
