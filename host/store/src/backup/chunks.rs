//! A backup as it is sent: in pieces, none of which needs more memory than itself.

use std::collections::btree_map;
use std::sync::Arc;
use std::vec;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::layout::{BLOCK, BackupHeader, CHANGE_HEAD_BYTES, HEADER_BYTES, LEASE_BYTES, SUM_BYTES};
use crate::capture::StoreCapture;
use crate::change::KeyChange;
use crate::disk::change_bytes;

/// The most bytes of a piece.
const CHUNK_BYTES: usize = 64 << 10;

/// The pieces of a backup. Each holds [`CHUNK_BYTES`], but for the last.
pub(crate) struct BackupChunks {
    /// Bytes that were encoded and not taken.
    encoded: BytesMut,
    leases: btree_map::IntoIter<i64, i64>,
    changes: vec::IntoIter<Arc<KeyChange>>,
    /// `None` once the checksum is encoded.
    sum: Option<Sha256>,
    /// Bytes that were not taken, encoded or not.
    remaining: u64,
    /// Zeros before the checksum.
    padding: usize,
}

/// A piece of a backup, and the number of bytes after it.
pub(crate) struct BackupChunk {
    pub(crate) bytes: Bytes,
    pub(crate) remaining: u64,
}

impl BackupChunks {
    /// Begins the backup of a capture.
    pub(crate) fn new(capture: StoreCapture, taken_unix_ms: u64) -> Self {
        let (leases, keys) = (capture.leases.len(), capture.changes.len());
        let header = BackupHeader {
            cluster: capture.cluster,
            member: capture.member,
            term: capture.term,
            revision: capture.revision,
            taken_unix_ms,
            leases: leases as u64,
            keys: keys as u64,
        };
        let content = capture
            .changes
            .iter()
            .map(|change| (CHANGE_HEAD_BYTES + change_bytes::encoded_length(change)) as u64);
        let length = (HEADER_BYTES + leases * LEASE_BYTES) as u64 + content.sum::<u64>();
        let whole = length.next_multiple_of(BLOCK);
        let mut chunks = Self {
            encoded: BytesMut::new(),
            leases: capture.leases.into_iter(),
            changes: capture.changes.into_iter(),
            sum: Some(Sha256::new()),
            remaining: whole + SUM_BYTES as u64,
            padding: usize::try_from(whole - length).unwrap_or_default(),
        };
        chunks.add(&header.encode());
        chunks
    }

    /// Returns the number of bytes that were not taken; at first the length of the whole backup.
    pub(crate) const fn remaining(&self) -> u64 {
        self.remaining
    }

    fn add(&mut self, bytes: &[u8]) {
        self.encoded.extend_from_slice(bytes);
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
    }

    /// Encodes one more part. Returns false when there is none.
    fn encode_next(&mut self) -> bool {
        let mut bytes = Vec::new();
        if let Some((lease, ttl)) = self.leases.next() {
            bytes.extend_from_slice(&lease.to_le_bytes());
            bytes.extend_from_slice(&ttl.to_le_bytes());
        } else if let Some(change) = self.changes.next() {
            bytes.extend_from_slice(&change.revision.to_le_bytes());
            bytes.extend_from_slice(&change.sub.to_le_bytes());
            // No request comes near 4 GiB.
            let length = u32::try_from(change_bytes::encoded_length(&change)).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            change_bytes::encode(&change, &mut bytes);
        } else if let Some(mut sum) = self.sum.take() {
            let zeros = vec![0; self.padding];
            sum.update(&zeros);
            self.encoded.extend_from_slice(&zeros);
            self.encoded.extend_from_slice(&sum.finalize());
            return true;
        } else {
            return false;
        }
        self.add(&bytes);
        true
    }
}

impl Iterator for BackupChunks {
    type Item = BackupChunk;

    fn next(&mut self) -> Option<BackupChunk> {
        while self.encoded.len() < CHUNK_BYTES && self.encode_next() {}
        let bytes = self.encoded.split_to(self.encoded.len().min(CHUNK_BYTES));
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        (!bytes.is_empty()).then(|| BackupChunk {
            bytes: bytes.freeze(),
            remaining: self.remaining,
        })
    }
}
