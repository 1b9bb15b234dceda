//! Bounds on the memory that one client, or many, can make the store hold; others are served meanwhile.
//!
//! Each bound is at least twice the measured value, and far below the value of the same requests without a bound.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etcd_client::{Client, GetOptions, PutOptions, TxnOp};
use leasehold_tests::binaries::Version;
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::wait::eventually;

use crate::SLACK;
use crate::client::{connect, refusal};
use crate::raw::Raw;
use crate::server::Server;
use crate::wire::{self, DATA, OPENING, RESET, frame, read_until, request, settle, stream};

const PUT: &str = "/etcdserverpb.KV/Put";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// It answers, and the answer is right.
async fn serves(client: &mut Client) -> Result<()> {
    let value = fastrand::u64(..).to_string();
    let work = async {
        client.put("served", value.clone(), None).await?;
        client.get("served", None).await
    };
    let reply = tokio::time::timeout(SLACK, work).await??;
    let found = reply.kvs().first().context("what was put is not there")?;
    ensure!(found.value() == value.as_bytes());
    Ok(())
}

/// Memory that a test adds to the store, in MiB, once `hostile` has run. A client is served before, and while all
/// connections are open.
async fn takes<T>(
    server: &mut Server,
    hostile: impl AsyncFnOnce(&Server) -> Result<T>,
) -> Result<u64> {
    let mut client = connect(server).await?;
    serves(&mut client).await?;
    let before = server.resident_mib()?;
    let open = hostile(server).await?;
    serves(&mut client).await?;
    let taken = server.peak_mib()?.saturating_sub(before);
    println!("peak {taken} MiB above {before} MiB");
    drop(open);
    serves(&mut connect(server).await?).await?;
    server.is_well()?;
    Ok(taken)
}

/// A connection by hand.
fn by_hand(server: &Server) -> Result<TcpStream> {
    let mut io = server.connect()?;
    io.write_all(OPENING)?;
    Ok(io)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_requests_are_bounded_per_connection_and_in_all() -> Result<()> {
    /// Measured: 10. Each stream took 40 KiB when they were not bounded.
    const ONE: u64 = 120;
    /// Measured: 83.
    const ALL: u64 = 450;
    let mut server = Server::in_memory()?.started()?;
    let one = takes(&mut server, async |server| {
        let mut io = by_hand(server)?;
        let mut reader = io.try_clone()?;
        // The server's answers are read, or it would stop reading.
        let reading = std::thread::spawn(move || {
            let mut heard = Vec::new();
            let _ = reader.read_to_end(&mut heard);
        });
        for place in 0..20_000 {
            if io.write_all(&request(stream(place), PUT)).is_err() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(500));
        io.shutdown(std::net::Shutdown::Both)?;
        let _ = reading.join();
        Ok(())
    })
    .await?;
    ensure!(one < ONE, "{one} MiB for one connection");
    let all = takes(&mut server, async |server| {
        let mut open = Vec::new();
        for _ in 0..20 {
            let mut io = by_hand(server)?;
            for place in 0..1000 {
                io.write_all(&request(stream(place), PUT))?;
            }
            ensure!(settle(&mut io)?, "a client within its limits was ended");
            open.push(io);
        }
        Ok(open)
    })
    .await?;
    ensure!(all < ALL, "{all} MiB for twenty connections");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_messages_are_refused_beyond_a_connections_share() -> Result<()> {
    /// Measured: 1.
    const BOUND: u64 = 64;
    const LENGTH: usize = 2_000_000;
    let mut server = Server::in_memory()?.started()?;
    let taken = takes(&mut server, async |server| {
        let mut io = by_hand(server)?;
        let mut refused = 0;
        for place in 0..200 {
            let id = stream(place);
            let mut message = vec![0];
            message.extend_from_slice(&u32::try_from(LENGTH)?.to_be_bytes());
            io.write_all(&request(id, PUT))?;
            io.write_all(&frame(id, DATA, 0, &message))?;
            ensure!(
                settle_counting(&mut io, &mut refused)?,
                "the connection was ended"
            );
        }
        ensure!(refused >= 150, "{refused} refused");
        Ok(io)
    })
    .await?;
    ensure!(taken < BOUND, "{taken} MiB");
    Ok(())
}

/// As `settle`, and counts the requests that were answered or reset on the way.
fn settle_counting(io: &mut TcpStream, ended: &mut usize) -> Result<bool> {
    io.write_all(&frame(0, wire::PING, 0, b"settled?"))?;
    read_until(io, |kind, id, _| {
        // Headers are an answer: nothing was asked for but refusals.
        *ended += usize::from(id > 0 && kind == 1);
        kind == wire::PING
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_read_are_bounded() -> Result<()> {
    /// Measured: 132; without a bound, the sum of all answers.
    const BOUND: u64 = 350;
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    for number in 0..20 {
        client
            .put(format!("large/{number:02}"), vec![b'x'; 1_000_000], None)
            .await?;
    }
    let taken = takes(&mut server, async |server| {
        let mut io = by_hand(server)?;
        for place in 0..100 {
            // Range from `large/` to `large0`: 20 MB. Nothing is read, and the windows are soon full.
            let range = [&b"\x0a\x06large/\x12\x06large0"[..]].concat();
            let mut message = vec![0];
            message.extend_from_slice(&u32::try_from(range.len())?.to_be_bytes());
            message.extend_from_slice(&range);
            let id = stream(place);
            io.write_all(&request(id, "/etcdserverpb.KV/Range"))?;
            io.write_all(&frame(id, DATA, 1, &message))?;
        }
        std::thread::sleep(Duration::from_secs(1));
        Ok(io)
    })
    .await?;
    ensure!(taken < BOUND, "{taken} MiB");
    let all = GetOptions::new().with_prefix().with_keys_only();
    let reply = client.get("large/", Some(all)).await?;
    ensure!(reply.kvs().len() == 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_too_large_answer_is_refused_before_anything_is_done() -> Result<()> {
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    for number in 0..70 {
        client
            .put(format!("large/{number:02}"), vec![b'x'; 1_000_000], None)
            .await?;
    }
    let all = || Some(GetOptions::new().with_prefix());
    let refused = |error: Option<etcd_client::Error>| -> Result<()> {
        let said = refusal(&error.context("it was answered")?);
        ensure!(
            said.starts_with(
                "ResourceExhausted: leasehold: the answer would be larger than 64 MiB"
            ),
            "{said}"
        );
        Ok(())
    };
    refused(client.get("large/", all()).await.err())?;
    let deleting = etcd_client::DeleteOptions::new()
        .with_prefix()
        .with_prev_key();
    refused(client.delete("large/", Some(deleting)).await.err())?;
    let half = || Some(GetOptions::new().with_range("large/40"));
    let reads = etcd_client::Txn::new()
        .and_then([TxnOp::get("large/", half()), TxnOp::get("large/", half())]);
    refused(client.txn(reads).await.err())?;
    let writes = etcd_client::Txn::new().and_then([
        TxnOp::put("written", "x", Some(PutOptions::new().with_prev_key())),
        TxnOp::get("large/", all()),
    ]);
    refused(client.txn(writes).await.err())?;
    ensure!(client.get("written", None).await?.kvs().is_empty());
    let counted = client
        .get(
            "large/",
            Some(GetOptions::new().with_prefix().with_keys_only()),
        )
        .await?;
    ensure!(counted.kvs().len() == 70, "a refused deletion deleted");
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_and_their_unread_events_are_bounded() -> Result<()> {
    /// Measured: 68; without a bound, 500.
    const BOUND: u64 = 300;
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    client.put("large", vec![b'x'; 1_000_000], None).await?;
    let taken = takes(&mut server, async |server| {
        let mut io = by_hand(server)?;
        for place in 0..500 {
            // A watch of `large` from revision 2, whose one event is 1 MB.
            let create = b"\x0a\x09\x0a\x05large\x18\x02";
            let mut message = vec![0, 0, 0, 0, u8::try_from(create.len())?];
            message.extend_from_slice(create);
            let id = stream(place);
            io.write_all(&request(id, WATCH))?;
            io.write_all(&frame(id, DATA, 0, &message))?;
        }
        std::thread::sleep(Duration::from_secs(1));
        Ok(io)
    })
    .await?;
    ensure!(taken < BOUND, "{taken} MiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_a_million_parts_is_refused_unread() -> Result<()> {
    /// Measured: 2; unpacked, each would take 200.
    const BOUND: u64 = 90;
    let mut server = Server::in_memory()?.started()?;
    let taken = takes(&mut server, async |server| {
        let mut raw = Raw::connect(server.endpoint()).await?;
        for field in [0x0a_u8, 0x12, 0x1a] {
            for _ in 0..4 {
                let bomb = [field, 0].repeat(1_000_000);
                let answer = raw.send("/etcdserverpb.KV/Txn", bomb).await;
                let status = answer.err().context("it was carried out")?;
                ensure!(
                    status.message() == "etcdserver: too many operations in txn request",
                    "{status}"
                );
            }
        }
        Ok(())
    })
    .await?;
    ensure!(taken < BOUND, "{taken} MiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_pings_resets_and_tiny_frames_take_nothing() -> Result<()> {
    /// Measured: 2.
    const BOUND: u64 = 64;
    let mut server = Server::in_memory()?.started()?;
    let taken = takes(&mut server, async |server| {
        let ping = frame(0, wire::PING, 0, b"flooding");
        let tiny = frame(1, DATA, 0, &[0]);
        let empty = frame(1, DATA, 0, &[]);
        let begun = request(1, WATCH);
        let resets = (0..20_000)
            .flat_map(|place| {
                let id = stream(place);
                [request(id, PUT), frame(id, RESET, 0, &[0, 0, 0, 8])].concat()
            })
            .collect::<Vec<u8>>();
        for flood in [
            ping.repeat(200_000),
            [begun.clone(), tiny.repeat(200_000)].concat(),
            [begun, empty.repeat(200_000)].concat(),
            resets,
        ] {
            let mut io = by_hand(server)?;
            io.set_write_timeout(Some(Duration::from_secs(2)))?;
            // It may stop reading, or end the connection.
            let _ = io.write_all(&flood);
        }
        Ok(())
    })
    .await?;
    ensure!(taken < BOUND, "{taken} MiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_descriptor_reserve_are_refused() -> Result<()> {
    let few = Server::on_disk()?.launched_by(&[], r#"ulimit -n 256; exec "$@""#);
    let mut server = few.started()?;
    let mut client = connect(&server).await?;
    serves(&mut client).await?;
    // They greet, so that they are not dropped for their silence.
    let mut open = Vec::new();
    for _ in 0..400 {
        if let Ok(io) = by_hand(&server) {
            open.push(io);
        }
    }
    let warning = "turns connections away";
    eventually(SLACK, "the store to turn connections away", || {
        ensure!(server.said().contains(warning), "{}", server.said());
        Ok(())
    })?;
    let used = std::fs::read_dir(server.descriptors()?)?.count();
    ensure!(used < 160, "{used} descriptors are open");
    for _ in 0..20 {
        serves(&mut client).await?;
    }
    // Its owner comes in over the private socket all the same.
    let socket = format!("unix://{}", server.data().join("store.sock").display());
    let ctl = Etcdctl::new(Version::V3_5, &[socket])?;
    ctl.run(&["endpoint", "health"])?;
    let mut turned_away = 0;
    for io in &mut open {
        io.set_read_timeout(Some(Duration::from_millis(10)))?;
        let ended = read_until(io, |_, _, _| false);
        turned_away += usize::from(matches!(io.peek(&mut [0]), Ok(0) | Err(_)) && ended.is_ok());
    }
    ensure!(turned_away >= 200, "{turned_away} were turned away");
    drop(open);
    eventually(SLACK, "places to be free again", || {
        let used = std::fs::read_dir(server.descriptors()?)?.count();
        ensure!(used < 60, "{used} descriptors are open");
        Ok(())
    })?;
    serves(&mut connect(&server).await?).await?;
    let lines = server.said();
    let times = lines.matches(warning).count();
    ensure!(times <= 2, "it was logged {times} times: {lines}");
    server.is_well()
}

#[test]
fn an_older_http_gets_a_text_answer() -> Result<()> {
    let mut server = Server::in_memory()?.started()?;
    for (text, status, part) in [
        (
            "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "HTTP/1.1 200 ",
            r#""health":"true""#,
        ),
        (
            "POST /v3/kv/range HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{\"key\":1}",
            "HTTP/1.1 404 ",
            "HTTP/2 (gRPC)",
        ),
    ] {
        let mut io = server.connect()?;
        io.write_all(text.as_bytes())?;
        let mut answer = String::new();
        io.read_to_string(&mut answer)
            .context("an answer is text")?;
        ensure!(answer.starts_with(status), "{answer}");
        ensure!(answer.contains(part), "{answer}");
    }
    // Bytes that are not HTTP get no answer.
    let mut io = server.connect()?;
    io.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")?;
    let mut heard = Vec::new();
    let _ = io.read_to_end(&mut heard);
    ensure!(heard.is_empty(), "{heard:?}");
    server.is_well()
}
