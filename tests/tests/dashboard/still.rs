//! A stopped dashboard, and a stream without a reader, cost other clients nothing.

use std::io::{Read as _, pipe};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::on_etcd;
use leasehold_tests::process::Process;
use leasehold_tests::terminal::Terminal;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;

use crate::{LOCK, NAME, SIZE, SLACK, etcdctl_lock, held_key, is_given_back};

on_etcd!(a_stopped_dashboard_delays_no_client);

/// Jobs of a host that contend for the lock: each alone could have it ten times a second.
const JOBS: usize = 6;
/// Time during which hand-offs are counted.
const WINDOW: Duration = Duration::from_secs(3);
/// Capacity of a pipe, less the longest line.
const NEARLY_FULL: u64 = 60_000;
/// Comparisons, since other tests run beside this one and stop and start as they like.
const ROUNDS: usize = 4;

/// A host with many jobs that want the lock again and again.
fn taker(host: &str, etcd: &Etcd) -> Result<HostProcess> {
    let heartbeat = guests::heartbeat()?;
    let config = config_for(host, etcd).grace("200ms");
    let config = (0..JOBS).fold(config, |config, number| {
        config.job(&format!("report-{number}"), |job| {
            let job = job.plugin(&heartbeat).lock(LOCK);
            job.every("100ms").args(&["1"])
        })
    });
    HostProcess::start(&config)
}

/// Hand-offs during a window.
fn count(hosts: &[HostProcess; 2]) -> usize {
    let total = || {
        let events = hosts.iter().flat_map(HostProcess::events);
        events.filter(|event| event.is("acquired")).count()
    };
    let (before, began) = (total(), Instant::now());
    std::thread::sleep(WINDOW.saturating_sub(began.elapsed()));
    total() - before
}

fn a_stopped_dashboard_delays_no_client(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hosts = [taker("host-a", &etcd)?, taker("host-b", &etcd)?];
    for host in &hosts {
        host.wait_for(SLACK, |event| event.is("acquired"))?;
    }
    let (mut reader, writer) = pipe()?;
    let mut command = Command::new(binaries::leasehold_tui()?);
    command.args(["--endpoint", &etcd.endpoint(), "--stream"]);
    let mut stream = Process::spawn("leasehold-tui --stream", command.stdout(writer))?;
    drop(command);
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    // Without job control: the shell must not take the terminal back from one that is stopped.
    terminal.line("set +m")?;
    terminal.line(&format!("leasehold-tui --endpoint {}", etcd.endpoint()))?;
    terminal.shows(&["| LIVE |", LOCK])?;

    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let before = count(&hosts);
        terminal.signal(Signal::STOP)?;
        eventually(SLACK, "a full pipe", || {
            let waiting = rustix::io::ioctl_fionread(&reader)?;
            ensure!(waiting >= NEARLY_FULL, "{waiting} bytes");
            Ok(())
        })?;
        let during = count(&hosts);
        rates.push((before, during));
        terminal.signal(Signal::CONT)?;
        if 2 * during >= before {
            break;
        }
    }
    println!("{version:?}: hand-offs in {WINDOW:?}, before and while it stands still: {rates:?}");
    let (before, during) = rates.last().copied().context("no rates")?;
    ensure!(before > 10 && 2 * during >= before, "{rates:?}");

    // It catches up: the next one who stays is shown.
    let stays = etcdctl_lock(&etcd, version, NAME)?;
    let key = held_key(&stays, NAME)?;
    let queue = etcd.etcdctl(&["get", &key, "-w", "json"])?;
    let queue: serde_json::Value = serde_json::from_str(&queue)?;
    let token = queue["kvs"][0]["create_revision"].to_string();
    terminal.wait("the present", |screen| {
        ensure!(screen.contains("| LIVE |"));
        let row = screen.row(LOCK)?;
        ensure!(
            row.contains("client ") && row.contains(&format!(" {token} ")),
            "{row}"
        );
        Ok(())
    })?;
    terminal.keys(&["q"])?;
    is_given_back(&terminal)?;
    stream.kill()?;
    let mut said = Vec::new();
    reader.read_to_end(&mut said)?;
    ensure!(said.starts_with(b"{"), "the stream said nothing");

    for host in &hosts {
        let lost = host.events().into_iter().find(|event| {
            ["lock-lost", "store-trouble", "backoff", "lines-dropped"].contains(&event.name())
        });
        ensure!(lost.is_none(), "{lost:?}");
    }
    // They go on while this is looked at, so what has begun may not have ended.
    let circumstances = Circumstances::default().killed("host-a").killed("host-b");
    let events = merged(&[&hosts[0], &hosts[1]]);
    checks::all(&events, &circumstances).map_err(anyhow::Error::msg)
}
