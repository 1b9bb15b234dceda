//! Snapshots: backups that are sent while the store goes on.
//!
//! A snapshot shares the values of its revision with the store, so a client that does not read would keep deleted
//! values for ever. Two are sent at a time, and one whose client does not read is given up.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbResponseHeader, PbSnapshotResponse};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tonic::Status;

use super::context::ServiceContext;
use crate::backup::{BackupChunk, BackupChunks};

/// Snapshots sent at one time.
const MAX_SNAPSHOTS: usize = 2;

/// Pieces that wait for the client.
const QUEUED_CHUNKS: usize = 2;

/// Time that a client may take to read one piece.
const PATIENCE: Duration = Duration::from_secs(30);

/// The stream of a snapshot.
pub(super) type SnapshotStream = BoxStream<'static, Result<PbSnapshotResponse, Status>>;

/// Sends snapshots.
pub(super) struct SnapshotSender {
    context: ServiceContext,
    slots: Arc<Semaphore>,
    patience: Duration,
}

impl SnapshotSender {
    pub(super) fn new(context: &ServiceContext) -> Self {
        Self::with_patience(context, PATIENCE)
    }

    fn with_patience(context: &ServiceContext, patience: Duration) -> Self {
        Self {
            context: context.clone(),
            slots: Arc::new(Semaphore::new(MAX_SNAPSHOTS)),
            patience,
        }
    }

    /// Begins a snapshot of the present revision.
    pub(super) fn start(&self, taken_unix_ms: u64) -> Result<SnapshotStream, Status> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "leasehold: the embedded store sends {MAX_SNAPSHOTS} snapshots already; try again when they are done"
            )));
        };
        let header = self.context.core.header();
        let chunks = BackupChunks::new(self.context.core.capture(), taken_unix_ms);
        let (queue, pieces) = mpsc::channel(QUEUED_CHUNKS);
        let (cancel, patience) = (self.context.cancel.clone(), self.patience);
        let sending = async move {
            for chunk in chunks {
                let sent = timeout(patience, queue.send(chunk));
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => break,
                    sent = sent => if !matches!(sent, Ok(Ok(()))) {
                        break;
                    },
                }
            }
            drop(slot);
        };
        let runtime = &self.context.runtime;
        self.context.tasks.spawn_on(sending, runtime);
        Ok(answers(pieces, header))
    }
}

/// Returns the pieces as messages. A stream that ends before its last piece ends with an error, so that no client
/// takes a part for the whole.
fn answers(pieces: mpsc::Receiver<BackupChunk>, header: PbResponseHeader) -> SnapshotStream {
    stream::unfold(Some(pieces), move |pieces| async move {
        let mut pieces = pieces?;
        let Some(chunk) = pieces.recv().await else {
            return Some((Err(cut_short()), None));
        };
        let is_last = chunk.remaining == 0;
        let message = PbSnapshotResponse {
            header: Some(header),
            remaining_bytes: chunk.remaining,
            blob: chunk.bytes.into(),
            ..PbSnapshotResponse::default()
        };
        Some((Ok(message), (!is_last).then_some(pieces)))
    })
    .boxed()
}

fn cut_short() -> Status {
    Status::unavailable(format!(
        "leasehold: the snapshot was given up before its end: the embedded store was closed, or the client read nothing \
         for {} s",
        PATIENCE.as_secs()
    ))
}

#[cfg(test)]
mod tests;
