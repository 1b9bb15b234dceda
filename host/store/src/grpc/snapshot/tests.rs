//! Snapshots of clients that read slowly, or all at once, and of a store that goes on meanwhile.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Code;

use super::*;
use crate::core::StoreCore;
use crate::grpc::EndpointList;
use crate::options::StoreOptions;

async fn context() -> ServiceContext {
    let core = StoreCore::open(StoreOptions::memory()).await.unwrap();
    for key in ["a", "b"] {
        let put = etcd_client::proto::PbPutRequest {
            key: key.into(),
            value: vec![7; 1 << 20],
            ..Default::default()
        };
        core.put(put).await.unwrap();
    }
    ServiceContext {
        core,
        endpoints: Arc::new(EndpointList::default()),
        counts: Arc::default(),
        cancel: CancellationToken::new(),
        tasks: TaskTracker::new(),
        runtime: tokio::runtime::Handle::current(),
    }
}

/// Reads to the end. Returns the number of bytes, and the error that ended it.
async fn read(mut snapshot: SnapshotStream) -> (u64, Option<Status>) {
    let mut bytes = 0;
    while let Some(message) = snapshot.next().await {
        match message {
            Ok(message) => bytes += message.blob.len() as u64,
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

#[tokio::test]
async fn a_third_snapshot_is_refused_until_one_ends() {
    let context = context().await;
    let sender = SnapshotSender::new(&context);
    let first = sender.start(1).unwrap();
    let second = sender.start(1).unwrap();
    let refused = sender.start(1).err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let (bytes, error) = read(first).await;
    assert!(bytes > 2 << 20 && error.is_none(), "{bytes} {error:?}");
    drop(second);
    while sender.slots.available_permits() < MAX_SNAPSHOTS {
        tokio::task::yield_now().await;
    }
    assert!(sender.start(1).is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let context = context().await;
    let limits = SendLimits {
        patience: Duration::from_millis(50),
        ..LIMITS
    };
    let sender = SnapshotSender::with_limits(&context, limits);
    let unread = sender.start(1).unwrap();
    while sender.slots.available_permits() < MAX_SNAPSHOTS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, error) = read(unread).await;
    assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
}

#[tokio::test]
async fn a_snapshot_ends_with_an_error_when_the_store_closes() {
    let context = context().await;
    let sender = SnapshotSender::new(&context);
    let snapshot = sender.start(1).unwrap();
    context.cancel.cancel();
    context.tasks.close();
    context.tasks.wait().await;
    let (_, error) = read(snapshot).await;
    assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
}

#[tokio::test]
async fn client_that_takes_each_piece_late_is_given_up() {
    let context = context().await;
    // The whole of 2 MiB must be read within 325 ms.
    let limits = SendLimits {
        patience: Duration::from_millis(200),
        rate: 16 << 20,
    };
    let sender = SnapshotSender::with_limits(&context, limits);
    let mut snapshot = sender.start(1).unwrap();
    let mut error = None;
    while let Some(message) = snapshot.next().await {
        error = message.err();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
    assert_eq!(sender.slots.available_permits(), MAX_SNAPSHOTS);
}

#[test]
fn time_for_a_snapshot_grows_with_its_length() {
    assert_eq!(LIMITS.longest(0), Duration::from_secs(30));
    assert_eq!(LIMITS.longest(1 << 30), Duration::from_secs(30 + 4096));
    assert!(LIMITS.longest(u64::MAX) > Duration::from_hours(24));
}

#[tokio::test]
async fn snapshot_has_the_revision_of_its_content() {
    let context = context().await;
    let capture = context.core.capture();
    assert_eq!(capture.header(), context.core.header());
    let mut snapshot = SnapshotSender::new(&context).start(1).unwrap();
    let first = snapshot.next().await.unwrap().unwrap();
    assert_eq!(
        first.header.map(|header| header.revision),
        Some(capture.revision)
    );
}
