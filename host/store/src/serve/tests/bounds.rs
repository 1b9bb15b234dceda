//! Bounds on what a connection makes the store hold, as clients see them.

use etcd_client::{Client, Error, WatchOptions};
use tonic::{Code, Status};

use super::*;
use crate::budget::MemoryShares;

/// Connections with so many KiB each.
async fn with_share(connection: u64) -> (Server, String) {
    let shares = MemoryShares {
        all: connection << 11,
        connection: connection << 10,
        certain: 0,
    };
    on_tcp(ServerLimits {
        shares,
        ..ServerLimits::default()
    })
    .await
}

fn refused<T>(answer: Result<T, Error>) -> Status {
    match answer {
        Err(Error::GRpcStatus(status)) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was carried out"),
    }
}

#[tokio::test]
async fn a_message_over_the_share_is_refused_and_the_connection_stays() {
    let (server, address) = with_share(1024).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    let status = refused(client.put("large", vec![0; 1_200_000], None).await);
    assert_eq!(status.code(), Code::ResourceExhausted);
    insta::assert_snapshot!(status.message(), @"leasehold: this connection has 1 MiB of requests, watches and unread answers open, which is all it may; read the answers, or ask for less at a time");
    assert!(answers(&mut client).await);
    // A client in this process has no share.
    let mut inside = in_process(&server.connector()).await;
    inside.put("large", vec![0; 1_200_000], None).await.unwrap();
    server.close().await;
}

#[tokio::test]
async fn an_answer_over_the_share_is_sent_and_delays_the_next() {
    let (server, address) = with_share(512).await;
    let mut inside = in_process(&server.connector()).await;
    inside.put("large", vec![0; 1_000_000], None).await.unwrap();
    let mut client = Client::connect([&address], None).await.unwrap();
    for _ in 0..3 {
        let reply = client.get("large", None).await.unwrap();
        assert_eq!(reply.kvs()[0].value().len(), 1_000_000);
    }
    server.close().await;
}

#[tokio::test]
async fn a_watch_over_the_share_is_cancelled_and_the_others_stay() {
    let (server, address) = with_share(150).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    let mut stream = client.watch("a", None).await.unwrap();
    assert!(stream.message().await.unwrap().unwrap().created());
    // A key of 10 KiB counts five times.
    let long = "k".repeat(10 << 10);
    stream.watch(long.clone(), None).await.unwrap();
    let first = stream.message().await.unwrap().unwrap();
    assert!(first.created() && !first.canceled(), "{first:?}");
    stream.watch(long.clone(), None).await.unwrap();
    let second = stream.message().await.unwrap().unwrap();
    assert!(second.created() && second.canceled(), "{second:?}");
    assert!(
        second
            .cancel_reason()
            .starts_with("leasehold: this connection has"),
        "{second:?}"
    );
    let mut inside = in_process(&server.connector()).await;
    inside.put("a", "1", None).await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().events().len(), 1);
    // A watch that was cancelled makes room for another.
    stream.cancel(first.watch_id()).await.unwrap();
    assert!(stream.message().await.unwrap().unwrap().canceled());
    let again = WatchOptions::new().with_watch_id(9);
    stream.watch(long, Some(again)).await.unwrap();
    let third = stream.message().await.unwrap().unwrap();
    assert!(third.created() && !third.canceled(), "{third:?}");
    server.close().await;
}

#[tokio::test]
async fn the_budget_is_returned_with_request_and_connection() {
    let (server, address) = with_share(64 << 10).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    client.put("a", vec![0; 1 << 20], None).await.unwrap();
    let watches: Vec<_> = futures_util::future::join_all((0..20).map(|_| {
        let mut client = client.clone();
        async move { client.watch("a", None).await.unwrap() }
    }))
    .await;
    assert!(server.budget.used() > 0);
    drop(watches);
    until("everything is given back", async || {
        server.budget.used() == 0
    })
    .await;
    let watch = client.watch("a", None).await.unwrap();
    drop((client, watch));
    until("everything is given back", async || {
        server.budget.used() == 0
    })
    .await;
    server.close().await;
}

#[tokio::test]
async fn a_connection_without_a_slot_is_closed_and_a_later_one_served() {
    let (server, address) = on_tcp(ServerLimits {
        tcp_connections: 3,
        slot_wait: Duration::from_millis(200),
        ..ServerLimits::default()
    })
    .await;
    let mut client = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut client).await);
    let mut others = Vec::new();
    for _ in 0..10 {
        let mut other = tokio::net::TcpStream::connect(&address).await.unwrap();
        other.write_all(OPENING).await.unwrap();
        others.push(other);
    }
    let (mut ended, mut taken) = (0, 0);
    for other in &mut others {
        // A connection that is served gets settings.
        match other.read(&mut [0; 9]).await {
            Ok(9) => taken += 1,
            _ => ended += 1,
        }
    }
    assert!(taken <= 2 && ended >= 8, "{taken} taken, {ended} ended");
    assert!(answers(&mut client).await);
    drop(others);
    until("a place is free", async || server.tcp_slots.free() > 0).await;
    let mut later = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut later).await);
    server.close().await;
}

#[tokio::test]
async fn an_older_http_is_answered_and_other_bytes_are_not() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    for (text, is_http) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
        ("PUT /v3/kv/put HTTP/1.1\r\n\r\n", true),
        ("PRI * HTTP/1.1\r\n\r\n1234567890", true),
        ("\x16\x03\x01\x02\x00\x01", false),
        ("pri * http/2.0\r\n\r\n", false),
    ] {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(
            answer.starts_with("HTTP/1.1 404 "),
            is_http,
            "{text}: {answer}"
        );
        assert_eq!(answer.is_empty(), !is_http, "{text}: {answer}");
    }
    server.close().await;
}
