//! Watches as a client sees them over a socket, on the real store.

use std::time::Duration;

use etcd_client::{CompactionOptions, EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::time::timeout;

use crate::serve::ServerLimits;
use crate::serve::tests::{PATIENCE, on_tcp};

async fn client(address: &str) -> etcd_client::Client {
    etcd_client::Client::connect([address], None).await.unwrap()
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    let message = timeout(PATIENCE, stream.message()).await;
    message
        .expect("no response came")
        .unwrap()
        .expect("the stream ended")
}

fn revision(response: &WatchResponse) -> i64 {
    response.header().unwrap().revision()
}

#[tokio::test]
async fn a_watch_from_the_past_goes_on_live_with_previous_values() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = client(&address).await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    let options = WatchOptions::new().with_start_revision(2).with_prev_key();
    let mut stream = client.watch("a", Some(options)).await.unwrap();
    let created = next(&mut stream).await;
    assert!(created.created());
    assert_eq!(revision(&created), 4);
    let past = next(&mut stream).await;
    let values: Vec<_> = past
        .events()
        .iter()
        .map(|e| e.kv().unwrap().value().to_vec())
        .collect();
    assert_eq!(values, [b"1", b"2", b"3"]);
    assert_eq!(revision(&past), 4);
    client.delete("a", None).await.unwrap();
    let live = next(&mut stream).await;
    let event = &live.events()[0];
    assert_eq!(event.event_type(), EventType::Delete);
    assert_eq!(event.prev_kv().unwrap().value(), b"3");
    assert_eq!(revision(&live), 5);
    stream.request_progress().await.unwrap();
    let progress = next(&mut stream).await;
    assert_eq!((progress.watch_id(), revision(&progress)), (-1, 5));
    server.close().await;
}

#[tokio::test]
async fn a_watch_below_the_compaction_ends_with_its_revision() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = client(&address).await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    let physical = CompactionOptions::new().with_physical();
    client.compact(3, Some(physical)).await.unwrap();
    let options = WatchOptions::new().with_start_revision(2);
    let mut stream = client.watch("a", Some(options)).await.unwrap();
    assert!(next(&mut stream).await.created());
    let ended = next(&mut stream).await;
    assert!(ended.canceled());
    assert_eq!(ended.compact_revision(), 3);
    let options = WatchOptions::new().with_start_revision(3);
    stream.watch("a", Some(options)).await.unwrap();
    assert!(next(&mut stream).await.created());
    assert_eq!(next(&mut stream).await.events().len(), 2);
    server.close().await;
}

#[tokio::test]
async fn an_unread_watch_delays_no_writer_and_no_other_watch() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut stuck = client(&address).await;
    let mut unread = stuck.watch("a", None).await.unwrap();
    assert!(next(&mut unread).await.created());
    let mut client = client(&address).await;
    let mut read = client.watch("a", None).await.unwrap();
    assert!(next(&mut read).await.created());
    // Far more than any window or buffer on the way takes.
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        let put = timeout(PATIENCE, client.put("a", large.clone(), None)).await;
        put.expect("the write was held up").unwrap();
    }
    for stream in [&mut read, &mut unread] {
        let mut seen = Vec::new();
        while seen.len() < 40 {
            let response = next(stream).await;
            seen.extend(
                response
                    .events()
                    .iter()
                    .map(|e| e.kv().unwrap().mod_revision()),
            );
        }
        assert_eq!(seen, (2..42).collect::<Vec<i64>>());
    }
    server.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = client(&address).await;
    let mut stream = client.watch("a", None).await.unwrap();
    assert!(next(&mut stream).await.created());
    assert_eq!(server.core.watchers().ranges(), 1);
    drop(stream);
    let gone = async {
        while server.core.watchers().ranges() != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        timeout(PATIENCE, gone).await.is_ok(),
        "its watch is still there"
    );
    server.close().await;
}

#[tokio::test]
async fn a_server_that_closes_ends_its_streams_as_unavailable() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = client(&address).await;
    let mut stream = client.watch("a", None).await.unwrap();
    assert!(next(&mut stream).await.created());
    let closing = tokio::spawn(async move { server.close().await });
    let ended = timeout(PATIENCE, stream.message()).await.unwrap();
    match ended.unwrap_err() {
        etcd_client::Error::GRpcStatus(status) => {
            assert_eq!(status.code(), tonic::Code::Unavailable);
        }
        other => panic!("{other:?}"),
    }
    closing.await.unwrap();
}
