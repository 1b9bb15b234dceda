//! The way in for clients of the same process: no socket, the same services.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream;
use leasehold_lock::Connector;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::Stream;

use super::connection::Arrived;

/// How many bytes one side may write ahead of the other.
const BUFFER_BYTES: usize = 256 * 1024;

/// How many clients may be about to be let in.
const ARRIVING: usize = 16;

/// The way in for clients in this process. Cheap to clone; every connection is one of its own, and lives on
/// the runtime of whoever uses it.
#[derive(Debug, Clone)]
pub struct InProcess {
    arriving: mpsc::Sender<DuplexStream>,
}

impl InProcess {
    pub(super) fn new() -> (Self, mpsc::Receiver<DuplexStream>) {
        let (arriving, arrived) = mpsc::channel(ARRIVING);
        (Self { arriving }, arrived)
    }
}

impl Connector for InProcess {
    fn connect(&self) -> BoxFuture<'static, io::Result<DuplexStream>> {
        let arriving = self.arriving.clone();
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
            arriving.send(theirs).await.map_err(|_| {
                io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    "the embedded store is closed",
                )
            })?;
            Ok(ours)
        })
    }

    fn describe(&self) -> String {
        "the embedded store".to_owned()
    }
}

/// Who comes, each when there is a place for them.
pub(super) fn incoming(
    arrived: mpsc::Receiver<DuplexStream>,
    places: Arc<Semaphore>,
) -> impl Stream<Item = io::Result<Arrived<DuplexStream>>> + Send {
    stream::unfold((arrived, places), async |(mut arrived, places)| {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let io = arrived.recv().await?;
        Some((Ok(Arrived { io, place }), (arrived, places)))
    })
}
