//! Encoding of a batch for the log.
//!
//! All numbers are little-endian; changes are as [`super::change_bytes`] writes them:
//!
//! ```text
//! revisions u32  ( number i64  changes u32  ( place u32  length u32  change )* )*
//! granted u32  ( lease i64  ttl i64 )*   ended u32  ( lease i64 )*
//! ```
//!
//! Compactions are not logged: they are rare, and are written to redb at once. This file must never give these bytes
//! another meaning without a new [`super::tables::FORMAT`].

use std::sync::Arc;

use super::change_bytes;
use super::interface::CommitBatch;
use crate::change::RevisionChanges;

/// Returns true if the log can hold the batch.
pub(super) fn has_form(batch: &CommitBatch) -> bool {
    batch.compacted.is_none() && batch.dropped.is_empty()
}

/// Appends a batch's bytes.
pub(super) fn encode(batch: &CommitBatch, into: &mut Vec<u8>) {
    count(batch.revisions.len(), into);
    for revision in &batch.revisions {
        into.extend_from_slice(&revision.number.to_le_bytes());
        count(revision.changes.len(), into);
        for change in &revision.changes {
            into.extend_from_slice(&change.sub.to_le_bytes());
            let length = into.len();
            count(0, into);
            change_bytes::encode(change, into);
            let bytes = u32::try_from(into.len() - length - size_of::<u32>()).unwrap_or(u32::MAX);
            into[length..length + size_of::<u32>()].copy_from_slice(&bytes.to_le_bytes());
        }
    }
    count(batch.granted.len(), into);
    for (lease, ttl) in &batch.granted {
        into.extend_from_slice(&lease.to_le_bytes());
        into.extend_from_slice(&ttl.to_le_bytes());
    }
    count(batch.ended.len(), into);
    for lease in &batch.ended {
        into.extend_from_slice(&lease.to_le_bytes());
    }
}

/// No request comes near that many; the record of such a batch would not fit into the log.
fn count(number: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads a batch. Returns `None` when the bytes are not exactly one batch.
pub(super) fn decode(mut bytes: &[u8]) -> Option<CommitBatch> {
    let from = &mut bytes;
    let mut batch = CommitBatch::default();
    for _ in 0..number(from)? {
        let revision = i64::from_le_bytes(take(from)?);
        let mut changes = Vec::new();
        for _ in 0..number(from)? {
            let sub = number(from)?;
            let length = usize::try_from(number(from)?).ok()?;
            let (change, rest) = from.split_at_checked(length)?;
            *from = rest;
            changes.push(Arc::new(change_bytes::decode(
                (revision, sub),
                change,
                |key| key.into(),
            )?));
        }
        batch.revisions.push(Arc::new(RevisionChanges {
            number: revision,
            changes: changes.into(),
        }));
    }
    for _ in 0..number(from)? {
        let lease = i64::from_le_bytes(take(from)?);
        batch.granted.push((lease, i64::from_le_bytes(take(from)?)));
    }
    for _ in 0..number(from)? {
        batch.ended.push(i64::from_le_bytes(take(from)?));
    }
    from.is_empty().then_some(batch)
}

fn number(from: &mut &[u8]) -> Option<u32> {
    take(from).map(u32::from_le_bytes)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}
