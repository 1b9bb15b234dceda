//! Hostile bytes on a connection end at worst that connection.

use etcd_client::Client;
use tokio::net::TcpStream;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Returns true if the server ends the connection.
async fn is_ended(mut connection: TcpStream) -> bool {
    let mut heard = Vec::new();
    let reading = connection.read_to_end(&mut heard);
    // A reset is an end too.
    tokio::time::timeout(PATIENCE, reading).await.is_ok()
}

#[tokio::test]
async fn random_bytes_end_their_connection_alone() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut client).await);
    let mut random = fastrand::Rng::with_seed(42);
    for _ in 0..50 {
        let mut bytes = vec![0; random.usize(24..4000)];
        random.fill(&mut bytes);
        let mut connection = connect(&address).await;
        let _ = connection.write_all(&bytes).await;
        assert!(is_ended(connection).await);
    }
    for _ in 0..50 {
        let mut bytes = vec![0; random.usize(1..4000)];
        random.fill(&mut bytes);
        let mut connection = connect(&address).await;
        let _ = connection.write_all(&[PREFACE, &bytes].concat()).await;
        let _ = connection.shutdown().await;
        assert!(is_ended(connection).await);
    }
    for text in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 hello tls",
    ] {
        let mut connection = connect(&address).await;
        connection.write_all(text.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        assert!(is_ended(connection).await);
    }
    assert!(answers(&mut client).await);
    server.close().await;
}

#[tokio::test]
async fn a_connection_without_a_full_greeting_is_closed() {
    let limits = ServerLimits {
        tcp_connections: 3,
        greeting_timeout: Duration::from_millis(300),
        ..ServerLimits::default()
    };
    let (server, address) = on_tcp(limits).await;
    // Clients in this process take no slot.
    let mut inside = in_process(&server.connector()).await;
    let mut silent = Vec::new();
    for length in [0, 5, 23] {
        let mut connection = connect(&address).await;
        connection
            .write_all(PREFACE.get(..length).unwrap())
            .await
            .unwrap();
        silent.push(connection);
    }
    assert!(answers(&mut inside).await);
    let mut client = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut client).await, "the places are free again");
    for connection in silent {
        assert!(is_ended(connection).await);
    }
    server.close().await;
}

#[tokio::test]
async fn a_silent_connection_is_pinged_and_closed() {
    let limits = ServerLimits {
        ping_every: Duration::from_millis(200),
        ping_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let (server, address) = on_tcp(limits).await;
    for more in [&b""[..], b"\0\0\0\x04\0\0\0\0\0"] {
        let mut connection = connect(&address).await;
        connection
            .write_all(&[PREFACE, more].concat())
            .await
            .unwrap();
        assert!(is_ended(connection).await);
    }
    server.close().await;
}

#[tokio::test]
async fn a_write_over_the_limit_is_refused_in_etcds_words() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    let mut put = async |mebibytes_and_a_half: usize| {
        let value = vec![0; mebibytes_and_a_half * 1024 * 512];
        match client.put("large", value, None).await {
            Ok(_) => "taken".to_owned(),
            Err(etcd_client::Error::GRpcStatus(status)) => {
                format!("{:?}: {}", status.code(), status.message())
            }
            Err(other) => other.to_string(),
        }
    };
    assert_eq!(put(2).await, "taken");
    insta::assert_snapshot!(put(3).await, @"InvalidArgument: etcdserver: request is too large");
    insta::assert_snapshot!(put(8).await, @"ResourceExhausted: grpc: received message larger than max (limit 2097152 bytes)");
    assert_eq!(put(1).await, "taken");
    server.close().await;
}

#[tokio::test]
async fn two_hundred_closed_connections_free_their_slots() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut clients = Vec::new();
    for at in 0..200 {
        let mut client = Client::connect([&address], None).await.unwrap();
        if at % 2 == 0 {
            // Half of them in the middle of a request.
            let watch = client.watch("x", None).await.unwrap();
            clients.push((client, Some(watch)));
        } else {
            client.get("x", None).await.unwrap();
            clients.push((client, None));
        }
    }
    assert!(server.tcp_slots.free() <= ServerLimits::default().tcp_connections - 200);
    drop(clients);
    // The accepting task holds one slot.
    until("all places are free", async || {
        server.tcp_slots.free() >= ServerLimits::default().tcp_connections - 1
    })
    .await;
    let mut client = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut client).await);
    server.close().await;
}

#[tokio::test]
async fn a_client_that_cancels_all_requests_keeps_its_connection() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut connection = connect(&address).await;
    let mut bytes = OPENING.to_vec();
    let streams = (0..500).map(|at| 2 * at + 1);
    for stream in streams {
        bytes.extend(members_request(stream, "x"));
        // A reset: the client cancels the request.
        bytes.extend(frame(stream, 3, 0, &[0, 0, 0, 8]));
    }
    bytes.extend(members_request(2001, "x"));
    let answer = kind_of_answer(&mut connection, 2001, &bytes).await;
    assert_eq!(answer, Some(1));
    server.close().await;
}
