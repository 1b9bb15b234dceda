//! [`SnapshotReader`]: the content of the store, as the store sends it for a backup.

use std::time::Duration;

use tokio::time::timeout;

use crate::error::StoreError;
use crate::locks::Locks;

/// Time that the store may take for one piece. A real etcd reads its file meanwhile.
const PIECE_PATIENCE: Duration = Duration::from_mins(1);

/// A snapshot that arrives in pieces. Their form is that of the store, and is not inspected here.
pub struct SnapshotReader {
    pieces: etcd_client::SnapshotStreaming,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPiece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The number of bytes that follow. etcd does not count its checksum, so it is for display only.
    pub remaining: u64,
}

impl Locks {
    /// Begins a snapshot of the member that answers.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn snapshot(&self) -> Result<SnapshotReader, StoreError> {
        let requests = &self.0.requests;
        let begin = || {
            let mut maintenance = requests.client().maintenance_client();
            async move { maintenance.snapshot().await }
        };
        let pieces = requests.send(begin).await?;
        Ok(SnapshotReader { pieces })
    }
}

impl SnapshotReader {
    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the snapshot ends early. What arrived before is of no use.
    pub async fn next(&mut self) -> Result<Option<SnapshotPiece>, StoreError> {
        let arriving = timeout(PIECE_PATIENCE, self.pieces.message()).await;
        let arrived = arriving.map_err(|_| StoreError::timed_out(PIECE_PATIENCE))??;
        Ok(arrived.map(|piece| SnapshotPiece {
            bytes: piece.blob().to_vec(),
            remaining: piece.remaining_bytes(),
        }))
    }
}
