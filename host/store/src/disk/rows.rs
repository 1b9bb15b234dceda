//! Rows of redb's file: the transactions that write and remove them.
//!
//! This file must never read the log, nor decide when a transaction is due.

use redb::{Database, Table, WriteTransaction};

use super::change_bytes;
use super::interface::{CommitBatch, DiskImage};
use super::load::LEASE_ROW_BYTES;
use super::tables::{CHANGES, LEASES, META, meta, row_bytes};

/// Runs one transaction. redb's defaults are immediate durability, one phase and no quick repair.
pub(super) fn durably(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<i64, redb::Error>,
) -> Result<i64, redb::Error> {
    let transaction = database.begin_write()?;
    let grown = work(&transaction)?;
    transaction.commit()?;
    Ok(grown)
}

/// Returns the bytes of a batch's rows.
pub(super) fn batch_row_bytes(batch: &CommitBatch) -> u64 {
    let changes = batch
        .revisions
        .iter()
        .flat_map(|revision| &*revision.changes);
    let rows: u64 = changes
        .map(|change| row_bytes(change_bytes::encoded_length(change)))
        .sum();
    rows + batch.granted.len() as u64 * LEASE_ROW_BYTES
}

/// Writes a store's ids and its revision.
pub(super) fn write_numbers(
    numbers: &mut Table<'_, &'static str, u64>,
    image: &DiskImage,
) -> Result<(), redb::Error> {
    numbers.insert(meta::CLUSTER, image.cluster)?;
    numbers.insert(meta::MEMBER, image.member)?;
    numbers.insert(meta::TERM, image.term)?;
    numbers.insert(meta::REVISION, image.revision.cast_unsigned())?;
    numbers.insert(meta::COMPACTED, image.compacted.cast_unsigned())?;
    Ok(())
}

/// Writes batches, and drops these rows only. Returns the bytes by which the rows grew.
pub(super) fn write_batches(
    transaction: &WriteTransaction,
    batches: &[CommitBatch],
    dropped: &[(i64, u32)],
) -> Result<i64, redb::Error> {
    let mut grown = 0;
    let mut changes = transaction.open_table(CHANGES)?;
    let mut leases = transaction.open_table(LEASES)?;
    let mut numbers = transaction.open_table(META)?;
    let mut bytes = Vec::new();
    for batch in batches {
        for change in batch
            .revisions
            .iter()
            .flat_map(|revision| &*revision.changes)
        {
            bytes.clear();
            change_bytes::encode(change, &mut bytes);
            let replaced = changes.insert((change.revision, change.sub), bytes.as_slice())?;
            debug_assert!(replaced.is_none(), "a revision is committed once");
            grown += row_bytes(bytes.len()).cast_signed();
        }
        for (id, ttl) in &batch.granted {
            if leases.insert(id, ttl)?.is_none() {
                grown += LEASE_ROW_BYTES.cast_signed();
            }
        }
        for id in &batch.ended {
            if leases.remove(id)?.is_some() {
                grown -= LEASE_ROW_BYTES.cast_signed();
            }
        }
        if let Some(compacted) = batch.compacted {
            numbers.insert(meta::COMPACTED, compacted.cast_unsigned())?;
        }
    }
    let last = batches
        .iter()
        .rev()
        .find_map(|batch| batch.revisions.last());
    if let Some(last) = last {
        numbers.insert(meta::REVISION, last.number.cast_unsigned())?;
    }
    grown += remove_rows(&mut changes, dropped)?;
    Ok(grown)
}

/// Removes rows. Returns the bytes by which the rows grew: zero or negative.
pub(super) fn remove_rows(
    changes: &mut Table<'_, (i64, u32), &'static [u8]>,
    rows: &[(i64, u32)],
) -> Result<i64, redb::Error> {
    let mut grown = 0;
    for at in rows {
        if let Some(bytes) = changes.remove(at)? {
            grown -= row_bytes(bytes.value().len()).cast_signed();
        }
    }
    Ok(grown)
}
