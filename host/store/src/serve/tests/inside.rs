//! Clients in the same process: served on their tasks, and refused once the store closes.

use std::pin::pin;

use etcd_client::{Error, GetOptions};
use futures_util::poll;
use tokio::runtime::{Builder, Runtime};
use tonic::Code;

use super::*;
use crate::store::Store;

/// A runtime with one thread, as that of the lease thread.
fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn closed(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.code() == Code::Unavailable)
}

#[tokio::test]
async fn closing_ends_watches_and_refuses_later_requests() {
    let server = server(ServerLimits::default()).await;
    let mut client = in_process(&server.connector()).await;
    assert!(answers(&mut client).await);
    let mut watch = client.watch("alive", None).await.unwrap();
    client.lock("l", None).await.unwrap();
    let mut waits = client.clone();
    let waiting = tokio::spawn(async move { waits.lock("l", None).await });
    let watching = tokio::spawn(async move {
        loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;

    let closing = tokio::time::timeout(PATIENCE, server.close());
    assert!(closing.await.is_ok());
    let ended = tokio::time::timeout(PATIENCE, watching).await.unwrap();
    assert!(ended.unwrap().is_err());
    let ended = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert!(ended.unwrap().is_err());
    let refused = client.put("x", "y", None).await.unwrap_err();
    assert!(closed(&refused), "{refused}");
}

#[tokio::test]
async fn closing_does_not_wait_for_requests_that_are_not_polled() {
    let server = server(ServerLimits::default()).await;
    let mut client = in_process(&server.connector()).await;
    let mut unread = client.watch("alive", None).await.unwrap();
    client.lock("l", None).await.unwrap();
    let mut waits = client.clone();
    let mut waiting = pin!(waits.lock("l", None));
    assert!(poll!(&mut waiting).is_pending());

    let closing = tokio::time::timeout(PATIENCE, server.close());
    assert!(closing.await.is_ok());
    assert!(waiting.await.is_err());
    // Responses sent before the close may still arrive.
    while let Ok(Some(_)) = unread.message().await {}
}

#[tokio::test]
async fn a_connector_does_not_keep_the_store_open() {
    let server = server(ServerLimits::default()).await;
    let core = std::sync::Arc::downgrade(&server.core);
    let mut client = in_process(&server.connector()).await;
    assert!(answers(&mut client).await);
    drop(server);
    assert!(core.upgrade().is_none());
    assert!(closed(&client.get("x", None).await.unwrap_err()));
}

#[test]
fn a_store_on_a_disk_serves_runtimes_with_one_thread() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = single();
    runtime.block_on(async {
        let options = StoreOptions::directory(directory.path().join("store"));
        let store = Store::open(options).await.unwrap();
        let mut client = in_process(&store.connector()).await;
        assert!(answers(&mut client).await);
        let lease = client.lease_grant(60, None).await.unwrap().id();
        let (mut keeper, mut renewals) = client.lease_keep_alive(lease).await.unwrap();
        keeper.keep_alive().await.unwrap();
        assert!(renewals.message().await.unwrap().is_some());
        store.close().await;
    });
}

#[tokio::test]
async fn a_wait_whose_runtime_ends_leaves_the_queue() {
    let server = server(ServerLimits::default()).await;
    let way = server.connector();
    let mut client = in_process(&way).await;
    client.lock("l", None).await.unwrap();
    let waiter = std::thread::spawn(move || {
        single().block_on(async {
            let mut client = in_process(&way).await;
            let waiting = client.lock("l", None);
            assert!(
                tokio::time::timeout(Duration::from_millis(200), waiting)
                    .await
                    .is_err()
            );
        });
    });
    let entries = async || {
        let all = GetOptions::new().with_prefix().with_count_only();
        client.clone().get("l/", Some(all)).await.unwrap().count()
    };
    until("it has entered the queue", async || entries().await == 2).await;
    until("the place is free", async || entries().await == 1).await;
    tokio::task::spawn_blocking(|| waiter.join().unwrap())
        .await
        .unwrap();
    server.close().await;
}
