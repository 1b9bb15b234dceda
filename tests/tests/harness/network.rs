//! Each mode of the fault proxy, seen with etcdctl through it and with bare sockets at both of its ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::RunningEtcdctl;
use leasehold_tests::proxy::{FaultProxy, Mode, Trigger};
use leasehold_tests::wait::eventually;

use crate::{SHORT, SLACK, is_refused};

/// Long enough for all bytes under way to arrive; a wrong arrival after it would be missed.
const QUIET: Duration = Duration::from_millis(150);

/// A server behind a proxy.
struct Network {
    etcd: Etcd,
    proxy: FaultProxy,
}

impl Network {
    fn start() -> Result<Self> {
        let etcd = Etcd::start(Version::V3_4)?;
        let proxy = FaultProxy::start(&etcd.endpoint())?;
        Ok(Self { etcd, proxy })
    }

    /// Writes a key through the proxy.
    fn put(&self, key: &str, timeout: Duration) -> Result<String> {
        let ctl = self.etcd.ctl()?.via(self.proxy.endpoint()).timeout(timeout);
        ctl.run(&["put", key, "through"])
    }

    /// True if the server has the key, by a request past the proxy.
    fn has(&self, key: &str) -> Result<bool> {
        Ok(self.etcdctl_get(key)? == "through")
    }

    fn etcdctl_get(&self, key: &str) -> Result<String> {
        self.etcd.etcdctl(&["get", key, "--print-value-only"])
    }

    /// A watch through the proxy that has proved to work.
    fn watch(&self) -> Result<RunningEtcdctl> {
        let ctl = self.etcd.ctl()?.via(self.proxy.endpoint());
        let watch = ctl.spawn(&["watch", "watched"])?;
        self.sees(&watch, "first")?;
        Ok(watch)
    }

    /// Writes past the proxy until the watch shows it: an etcdctl that has not yet opened its watch misses some.
    fn sees(&self, watch: &RunningEtcdctl, value: &str) -> Result<()> {
        eventually(SLACK, "the watch to see a write", || {
            self.etcd.etcdctl(&["put", "watched", value])?;
            watch.wait_line(QUIET, |line| line == value).map(drop)
        })
    }
}

/// Both ends of a connection through a proxy.
struct Ends {
    proxy: FaultProxy,
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    fn connect() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = FaultProxy::start(&listener.local_addr()?.to_string())?;
        let client = TcpStream::connect(proxy.endpoint())?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        let mut ends = Self {
            proxy,
            client,
            server,
        };
        // Once bytes have passed, the proxy has both of its ends and obeys its mode on them.
        ends.client.write_all(b"hello")?;
        receives(&mut ends.server, b"hello")?;
        Ok(ends)
    }
}

/// Reads exactly as many bytes as `expected` has.
fn receives(end: &mut TcpStream, expected: &[u8]) -> Result<()> {
    end.set_read_timeout(Some(SLACK))?;
    let mut read = vec![0; expected.len()];
    end.read_exact(&mut read)
        .context("reading what should arrive")?;
    ensure!(read == expected, "{} arrived", read.escape_ascii());
    Ok(())
}

/// Nothing is there to read, and the connection is open.
fn is_quiet(end: &mut TcpStream) -> Result<()> {
    end.set_read_timeout(Some(QUIET))?;
    match end.read(&mut [0; 64]) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        other => anyhow::bail!("expected silence, got {other:?}"),
    }
}

/// The connection was reset.
fn is_reset(end: &mut TcpStream) -> Result<()> {
    end.set_read_timeout(Some(SLACK))?;
    match end.read(&mut [0; 64]) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => anyhow::bail!("expected a reset, got {other:?}"),
    }
}

#[test]
fn a_well_network_passes_everything_and_counts_its_connections() -> Result<()> {
    let network = Network::start()?;
    network.put("k", SLACK)?;
    assert!(network.has("k")?);
    assert!(network.proxy.accepted() >= 1);
    eventually(SLACK, "the connection to be closed", || {
        ensure!(
            network.proxy.open() == 0,
            "{} are open",
            network.proxy.open()
        );
        Ok(())
    })
}

#[test]
fn a_delay_holds_back_both_ways() -> Result<()> {
    let network = Network::start()?;
    let delay = Duration::from_millis(150);
    network.proxy.set(Mode::Delay(delay));
    let started = Instant::now();
    network.put("k", SLACK)?;
    assert!(started.elapsed() >= 2 * delay);
    assert!(network.has("k")?);

    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::Delay(delay));
    let started = Instant::now();
    ends.server.write_all(b"back")?;
    receives(&mut ends.client, b"back")?;
    assert!(started.elapsed() >= delay);
    Ok(())
}

#[test]
fn jitter_and_dripping_keep_every_byte_in_order() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::Jitter(Duration::from_millis(40)));
    let text: Vec<u8> = (0..200u8).collect();
    for part in text.chunks(20) {
        ends.client.write_all(part)?;
        std::thread::sleep(Duration::from_millis(3));
    }
    receives(&mut ends.server, &text)?;

    ends.proxy.set(Mode::Drip(50));
    let started = Instant::now();
    ends.server.write_all(&text)?;
    receives(&mut ends.client, &text)?;
    // Four drops, three pauses between them.
    assert!(started.elapsed() >= Duration::from_millis(300));
    Ok(())
}

#[test]
fn etcd_works_over_jitter_and_over_a_dripping_line() -> Result<()> {
    let network = Network::start()?;
    network.proxy.set(Mode::Jitter(Duration::from_millis(50)));
    network.put("a", SLACK)?;
    network.proxy.set(Mode::Drip(64));
    let started = Instant::now();
    network.put("b", SLACK)?;
    assert!(network.has("a")? && network.has("b")?);
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "a request is longer than two drops"
    );
    Ok(())
}

#[test]
fn with_both_ways_dropped_nothing_reaches_the_server() -> Result<()> {
    let network = Network::start()?;
    network.proxy.set(Mode::DropBoth);
    is_refused(network.put("k", SHORT), "deadline exceeded")?;
    assert!(!network.has("k")?);
    network.proxy.set(Mode::Pass);
    network.put("k", SLACK)?;
    Ok(())
}

#[test]
fn dropped_bytes_arrive_once_the_network_is_well_again() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::DropBoth);
    ends.client.write_all(b"there")?;
    ends.server.write_all(b"back")?;
    is_quiet(&mut ends.server)?;
    is_quiet(&mut ends.client)?;
    ends.proxy.set(Mode::Pass);
    receives(&mut ends.server, b"there")?;
    receives(&mut ends.client, b"back")
}

#[test]
fn a_close_is_dropped_too_and_arrives_later() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::DropRequests);
    drop(ends.client);
    is_quiet(&mut ends.server)?;
    ends.proxy.set(Mode::Pass);
    ends.server.set_read_timeout(Some(SLACK))?;
    assert_eq!(ends.server.read(&mut [0; 8])?, 0);
    Ok(())
}

#[test]
fn with_responses_dropped_a_write_is_done_without_a_reply() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::DropResponses);
    ends.client.write_all(b"there")?;
    receives(&mut ends.server, b"there")?;
    ends.server.write_all(b"back")?;
    is_quiet(&mut ends.client)?;

    // A connected etcdctl sends its request without receiving anything first.
    let network = Network::start()?;
    network.proxy.arm(
        Trigger::Contains(b"lost-reply".to_vec()),
        Mode::DropResponses,
    );
    is_refused(network.put("lost-reply", SHORT), "deadline exceeded")?;
    assert!(network.has("lost-reply")?);
    Ok(())
}

#[test]
fn with_requests_dropped_events_still_come_back() -> Result<()> {
    let network = Network::start()?;
    let watch = network.watch()?;
    network.proxy.set(Mode::DropRequests);
    is_refused(network.put("k", SHORT), "deadline exceeded")?;
    assert!(!network.has("k")?);
    network.sees(&watch, "second")
}

#[test]
fn a_reset_kills_open_connections_and_lets_new_ones_through() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.reset();
    is_reset(&mut ends.client)?;
    is_reset(&mut ends.server)?;

    let network = Network::start()?;
    let watch = network.watch()?;
    let before = network.proxy.accepted();
    network.proxy.reset();
    eventually(SLACK, "the watch to connect again", || {
        ensure!(network.proxy.accepted() > before, "it did not");
        Ok(())
    })?;
    network.sees(&watch, "second")
}

#[test]
fn a_reset_loses_held_bytes_for_good() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::DropBoth);
    ends.client.write_all(b"there")?;
    ends.proxy.reset();
    is_reset(&mut ends.server)?;
    ends.proxy.set(Mode::Pass);
    is_reset(&mut ends.client)
}

#[test]
fn refusing_resets_new_connections_and_leaves_open_ones() -> Result<()> {
    let network = Network::start()?;
    let watch = network.watch()?;
    network.proxy.set(Mode::Refuse);
    is_refused(network.put("k", SHORT), "etcdctl put k")?;
    assert!(!network.has("k")?);
    network.sees(&watch, "second")?;

    let mut refused = TcpStream::connect(network.proxy.endpoint().trim_start_matches("http://"))?;
    is_reset(&mut refused)
}

#[test]
fn a_reply_can_be_lost_after_the_request_that_names_a_key() -> Result<()> {
    let network = Network::start()?;
    network.proxy.cut_after_request_with("/leasehold/locks/l/");
    network.put("unrelated", SLACK)?;
    assert!(network.proxy.wait_fired(QUIET).is_err());

    is_refused(
        network.put("/leasehold/locks/l/7b", SHORT),
        "deadline exceeded",
    )?;
    network.proxy.wait_fired(SLACK)?;
    assert!(network.has("/leasehold/locks/l/7b")?);

    network.proxy.reset();
    network.proxy.set(Mode::Pass);
    network.put("unrelated", SLACK).map(drop)
}

#[test]
fn a_reply_can_be_lost_after_whatever_is_sent_next() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.server.write_all(b"1")?;
    receives(&mut ends.client, b"1")?;

    ends.proxy.cut_after_next_request();
    ends.client.write_all(b"two")?;
    receives(&mut ends.server, b"two")?;
    ends.proxy.wait_fired(SLACK)?;
    ends.server.write_all(b"2")?;
    is_quiet(&mut ends.client)?;
    ends.client.write_all(b"three")?;
    receives(&mut ends.server, b"three")
}

#[test]
fn a_connection_to_a_dead_server_is_reset() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let proxy = FaultProxy::start(&listener.local_addr()?.to_string())?;
    drop(listener);
    is_reset(&mut TcpStream::connect(proxy.endpoint())?)
}

#[test]
fn dropping_the_proxy_ends_held_connections_too() -> Result<()> {
    let mut ends = Ends::connect()?;
    ends.proxy.set(Mode::DropBoth);
    ends.client.write_all(b"there")?;
    drop(ends.proxy);
    is_reset(&mut ends.client)?;
    is_reset(&mut ends.server)
}
