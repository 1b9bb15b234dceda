//! Closing ends all streams and waits for no client for long.

use etcd_client::{Client, Error};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;

#[tokio::test]
async fn closing_ends_streams_and_returns_though_clients_stay() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let (mut keeper, mut renewals) = client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert!(renewals.message().await.unwrap().is_some());
    let mut watch = client.watch("x", None).await.unwrap();

    // A client that neither reads nor writes any more.
    let mut frozen = TcpStream::connect(&address).await.unwrap();
    frozen
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();

    let closing = tokio::time::timeout(PATIENCE, server.close());
    assert!(closing.await.is_ok());
    assert!(!matches!(renewals.message().await, Ok(Some(_))));
    // The first message confirms the watch.
    let mut last = watch.message().await;
    if matches!(last, Ok(Some(_))) {
        last = watch.message().await;
    }
    assert!(!matches!(last, Ok(Some(_))), "{last:?}");
    assert!(TcpStream::connect(&address).await.is_err());
    assert!(client.get("x", None).await.is_err());
}

/// A connector that stops delivering replies when the second token is cancelled.
async fn unread(address: String, stop: CancellationToken) -> Client {
    over(move || {
        let (opening, stop) = (TcpStream::connect(address.clone()), stop.clone());
        async move {
            let (from, mut to) = tokio::io::split(opening.await?);
            let (ours, theirs) = tokio::io::duplex(1024);
            let (mut asked, mut heard) = tokio::io::split(theirs);
            tokio::spawn(async move { tokio::io::copy(&mut asked, &mut to).await });
            tokio::spawn(async move {
                let mut from = from;
                tokio::select! {
                    _ = tokio::io::copy(&mut from, &mut heard) => {}
                    // The stream stays open, and the client does not read it.
                    () = stop.cancelled() => std::future::pending().await,
                }
            });
            Ok(ours)
        }
    })
    .await
}

#[tokio::test]
async fn closing_does_not_wait_for_a_client_that_does_not_read() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let stop = CancellationToken::new();
    let mut client = unread(address, stop.clone()).await;
    client.put("large", vec![7; 1 << 20], None).await.unwrap();
    assert!(client.get("large", None).await.is_ok());
    stop.cancel();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("large", None).await })
        })
        .collect();
    // By now the server writes more than fits on the way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let closing = tokio::time::timeout(PATIENCE / 2, server.close());
    assert!(closing.await.is_ok());
    for asked in asked {
        asked.abort();
    }
}

#[tokio::test]
async fn a_closed_store_refuses_connections() {
    let server = server(ServerLimits::default()).await;
    let way = server.connector();
    let mut client = in_process(&way).await;
    assert!(answers(&mut client).await);
    server.close().await;
    for mut client in [client, in_process(&way).await] {
        let Err(Error::GRpcStatus(refused)) = client.get("x", None).await else {
            panic!("it is closed");
        };
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(refused.message(), "the embedded store is closed");
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_its_connections() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut client).await);
    drop(server);
    until("the listener is closed", async || {
        TcpStream::connect(&address).await.is_err()
    })
    .await;
}
