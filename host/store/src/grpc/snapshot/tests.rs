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
    let sender = SnapshotSender::with_patience(&context, Duration::from_millis(50));
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
