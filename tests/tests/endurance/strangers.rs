//! Whatever comes over TCP: it ends at worst its own connection, and leaves nothing behind.
//!
//! Half of this is also shown on the server inside a test; here it is the process, with its memory and its
//! descriptors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use anyhow::{Context, Result, ensure};
use etcd_client::Client;
use fastrand::Rng;
use leasehold_tests::wait::eventually_async;

use crate::client::{connect, refusal};
use crate::raw::Raw;
use crate::server::Server;
use crate::{SLACK, setting};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most memory that strangers may make it take, in MiB. Measured: at most 7.
const SPARE: u64 = 64;

/// It answers, and the answer is right.
async fn serves(client: &mut Client) -> Result<()> {
    let value = fastrand::u64(..).to_string();
    client.put("served", value.clone(), None).await?;
    let reply = client.get("served", None).await?;
    let found = reply.kvs().first().context("what was put is not there")?;
    ensure!(found.value() == value.as_bytes());
    Ok(())
}

/// The server ends the connection; a reset is an end too.
fn is_ended(mut stream: TcpStream) -> Result<()> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(error).context("the connection goes on")
        }
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_mean_nothing_end_their_connection_alone() -> Result<()> {
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    serves(&mut client).await?;
    let before = server.resident_mib()?;
    // Silent from the beginning; they are looked at in the end, when their patience is over.
    let mut silent = Vec::new();
    for length in [0, 1, 12, 23] {
        let mut stream = server.connect()?;
        stream.write_all(&PREFACE[..length])?;
        silent.push(stream);
    }
    let mut random = Rng::with_seed(setting("LEASEHOLD_SEED", 1));
    for round in 0..300 {
        let mut bytes = vec![0; random.usize(24..20_000)];
        random.fill(&mut bytes);
        let mut stream = server.connect()?;
        // Without a greeting; with one; with one and a frame's head without its frame.
        let kind: &[u8] = match round % 3 {
            0 => b"",
            1 => PREFACE,
            _ => &[
                PREFACE,
                &[0, 0, 0, 4, 0, 0, 0, 0, 0],
                &[0, 0x3f, 0xff, 1, 4, 0, 0, 0, 1],
            ]
            .concat(),
        };
        let _ = stream.write_all(&[kind, &bytes].concat());
        let _ = stream.shutdown(Shutdown::Write);
        is_ended(stream).with_context(|| format!("round {round}"))?;
    }
    for text in [
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /v3/kv/range HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{\"key\":1}",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 and so on, for as long as a hello of TLS is",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    ] {
        let mut stream = server.connect()?;
        stream.write_all(text.as_bytes())?;
        is_ended(stream).context(text)?;
    }
    serves(&mut client).await?;
    for stream in silent {
        is_ended(stream).context("one that says nothing")?;
    }
    serves(&mut client).await?;
    let taken = server.peak_mib()?.saturating_sub(before);
    ensure!(taken < SPARE, "{taken} MiB for strangers");
    println!("peak {taken} MiB above {before} MiB");
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_messages_are_refused_and_the_connection_goes_on() -> Result<()> {
    const METHODS: [&str; 9] = [
        "/etcdserverpb.KV/Range",
        "/etcdserverpb.KV/Put",
        "/etcdserverpb.KV/DeleteRange",
        "/etcdserverpb.KV/Txn",
        "/etcdserverpb.KV/Compact",
        "/etcdserverpb.Lease/LeaseGrant",
        "/etcdserverpb.Lease/LeaseTimeToLive",
        "/etcdserverpb.Maintenance/Status",
        "/etcdserverpb.Watch/Watch",
    ];
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    serves(&mut client).await?;
    let before = server.resident_mib()?;
    let mut raw = Raw::connect(server.endpoint()).await?;
    let mut random = Rng::with_seed(setting("LEASEHOLD_SEED", 1));
    let mut refused = 0;
    for round in 0..2000 {
        let mut message = vec![0; random.usize(6..300)];
        random.fill(&mut message);
        if round % 2 == 0 {
            // A field of bytes with a length beyond the message.
            message[..6].copy_from_slice(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        }
        let method = random.choice(METHODS).unwrap_or(METHODS[0]);
        let answer = tokio::time::timeout(SLACK, raw.send(method, message)).await;
        refused += usize::from(
            answer
                .with_context(|| format!("no answer to {method}"))?
                .is_err(),
        );
    }
    ensure!(refused > 1000, "only {refused} refused");
    // Messages inside of messages, far deeper than any client's.
    for depth in [50, 99, 150, 10_000] {
        let mut message = Vec::new();
        for _ in 0..depth {
            let inner = std::mem::take(&mut message);
            message = nested(inner);
        }
        let answer = tokio::time::timeout(SLACK, raw.send("/etcdserverpb.KV/Txn", message)).await?;
        ensure!(answer.is_err() || depth < 150, "a transaction {depth} deep");
    }
    let unknown = raw.send("/etcdserverpb.KV/NoSuchThing", Vec::new()).await;
    ensure!(unknown.is_err_and(|status| status.code() == tonic::Code::Unimplemented));

    let large = client.put("large", vec![b'x'; 2_621_440], None).await;
    let large = refusal(&large.err().context("2.5 MiB were taken")?);
    ensure!(
        large.starts_with("ResourceExhausted: grpc: received message larger than max"),
        "{large}"
    );
    let large = client.put("large", vec![b'x'; 1_700_000], None).await;
    let large = refusal(&large.err().context("1.7 MB were taken")?);
    ensure!(
        large == "InvalidArgument: etcdserver: request is too large",
        "{large}"
    );
    let gone = client.get("large", None).await?;
    ensure!(gone.kvs().is_empty());
    serves(&mut client).await?;
    let taken = server.peak_mib()?.saturating_sub(before);
    ensure!(taken < SPARE, "{taken} MiB for messages");
    println!("{refused} refused, peak {taken} MiB above {before} MiB");
    server.is_well()
}

/// A transaction whose only operation is this transaction.
fn nested(inner: Vec<u8>) -> Vec<u8> {
    // RequestOp.request_txn is field 4; TxnRequest.success is field 2.
    let op = field(4, inner);
    field(2, op)
}

fn field(number: u8, bytes: Vec<u8>) -> Vec<u8> {
    let mut all = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut all).unwrap_or_default();
    all.extend(bytes);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_connections_that_come_and_go_leave_nothing() -> Result<()> {
    const AT_ONCE: usize = 200;
    let mut server = Server::in_memory()?.started()?;
    let mut client = connect(&server).await?;
    serves(&mut client).await?;
    let before = server.resident_mib()?;
    for round in 0..10 {
        let mut streams = Vec::new();
        for number in 0..AT_ONCE {
            let mut stream = server.connect()?;
            if number % 2 == 0 {
                stream.write_all(PREFACE)?;
            }
            streams.push(stream);
        }
        serves(&mut client)
            .await
            .with_context(|| format!("round {round}"))?;
    }
    eventually_async(SLACK, "all descriptors to be closed", || async {
        let open = std::fs::read_dir(server.descriptors()?)?.count();
        ensure!(open < AT_ONCE, "{open} are open");
        Ok(())
    })
    .await?;
    serves(&mut client).await?;
    let taken = server.peak_mib()?.saturating_sub(before);
    ensure!(taken < SPARE, "{taken} MiB for connections");
    println!("peak {taken} MiB above {before} MiB");
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_out_of_descriptors_keeps_clients_and_recovers() -> Result<()> {
    let few = Server::on_disk()?.launched_by(&[], r#"ulimit -n 64; exec "$@""#);
    let mut server = few.started()?;
    let mut client = connect(&server).await?;
    serves(&mut client).await?;
    // The system accepts connections that the process cannot.
    let streams = (0..100)
        .map(|_| server.connect())
        .collect::<Result<Vec<_>>>()?;
    for _ in 0..20 {
        serves(&mut client).await?;
    }
    drop(streams);
    serves(&mut connect(&server).await?).await?;
    server.is_well()
}
