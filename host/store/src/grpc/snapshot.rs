//! Snapshots: backups that are sent while the store goes on.
//!
//! A snapshot shares the values of its revision with the store, so a client that does not read would keep deleted
//! values for ever. Two are sent at a time, and one whose client does not read, or reads too slowly, is given up.

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

/// Limits of the time that a client may take.
#[derive(Debug, Clone, Copy)]
struct SendLimits {
    /// Time for one piece, and time for the whole beside that of its bytes.
    patience: Duration,
    /// The fewest bytes a second.
    rate: u64,
}

const LIMITS: SendLimits = SendLimits {
    patience: Duration::from_secs(30),
    rate: 256 << 10,
};

/// The stream of a snapshot.
pub(super) type SnapshotStream = BoxStream<'static, Result<PbSnapshotResponse, Status>>;

/// Sends snapshots.
pub(super) struct SnapshotSender {
    context: ServiceContext,
    slots: Arc<Semaphore>,
    limits: SendLimits,
}

impl SnapshotSender {
    pub(super) fn new(context: &ServiceContext) -> Self {
        Self::with_limits(context, LIMITS)
    }

    fn with_limits(context: &ServiceContext, limits: SendLimits) -> Self {
        Self {
            context: context.clone(),
            slots: Arc::new(Semaphore::new(MAX_SNAPSHOTS)),
            limits,
        }
    }

    /// Begins a snapshot of the present revision.
    pub(super) fn start(&self, taken_unix_ms: u64) -> Result<SnapshotStream, Status> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "leasehold: the embedded store sends {MAX_SNAPSHOTS} snapshots already; try again when they are done"
            )));
        };
        let capture = self.context.core.capture();
        let header = capture.header();
        let chunks = BackupChunks::new(capture, taken_unix_ms);
        let (queue, pieces) = mpsc::channel(QUEUED_CHUNKS);
        let (cancel, limits) = (self.context.cancel.clone(), self.limits);
        let sending = async move {
            let longest = limits.longest(chunks.remaining());
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                _ = timeout(longest, send_chunks(chunks, queue, limits.patience)) => {}
            }
            drop(slot);
        };
        let runtime = &self.context.runtime;
        self.context.tasks.spawn_on(sending, runtime);
        Ok(answers(pieces, header))
    }
}

impl SendLimits {
    /// Returns the longest time for a snapshot of this length.
    const fn longest(self, length: u64) -> Duration {
        let millis = length.saturating_mul(1000) / self.rate;
        self.patience.saturating_add(Duration::from_millis(millis))
    }
}

/// Queues the pieces, until the client has taken none for as long as `patience`.
async fn send_chunks(chunks: BackupChunks, queue: mpsc::Sender<BackupChunk>, patience: Duration) {
    for chunk in chunks {
        if !matches!(timeout(patience, queue.send(chunk)).await, Ok(Ok(()))) {
            break;
        }
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
         for {} s or less than {} KiB/s",
        LIMITS.patience.as_secs(),
        LIMITS.rate >> 10
    ))
}

#[cfg(test)]
mod tests;
