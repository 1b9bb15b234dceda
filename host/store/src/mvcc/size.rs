//! Bytes that a write adds to the data, and to its answer, computed before it is carried out.
//!
//! Both are checked first, because a transaction that has begun to write does not fail.

use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest, PbTxnRequest,
};

use super::command::WriteCommand;
use super::memory::{CHANGE_OVERHEAD, LEASE_BYTES};
use super::read::{KeyView, MOST_ANSWER, answer_fits, shown_bytes};
use super::txn_path::{TxnPath, TxnStep};
use crate::change::{ChangeKind, KeyChange};
use crate::error::StoreError;
use crate::key_range::KeyRange;

/// Returns the most bytes that a command can add, whichever branch of it runs.
pub(super) fn most_growth(view: KeyView<'_>, command: &WriteCommand) -> u64 {
    match command {
        WriteCommand::Put(put) => put_growth(view, put),
        WriteCommand::Txn(txn) => branches_growth(view, txn),
        WriteCommand::Grant(_) => LEASE_BYTES,
        WriteCommand::Delete(_)
        | WriteCommand::Compact(_)
        | WriteCommand::Revoke(_)
        | WriteCommand::Expire(_) => 0,
    }
}

fn branches_growth(view: KeyView<'_>, txn: &PbTxnRequest) -> u64 {
    let ops = txn.success.iter().chain(&txn.failure);
    let each = ops.map(|op| match &op.request {
        Some(PbTxnOpRequest::RequestPut(put)) => put_growth(view, put),
        Some(PbTxnOpRequest::RequestTxn(nested)) => branches_growth(view, nested),
        _ => 0,
    });
    each.sum()
}

/// Returns the bytes that the chosen branches add.
pub(super) fn path_growth(view: KeyView<'_>, path: &TxnPath<'_>) -> u64 {
    let each = path.steps.iter().map(|step| match step {
        TxnStep::Op(PbTxnOpRequest::RequestPut(put)) => put_growth(view, put),
        TxnStep::Op(_) => 0,
        TxnStep::Nested(nested) => path_growth(view, nested),
    });
    each.sum()
}

/// Returns the bytes that a put adds. A put that keeps the value has another copy of it.
pub(super) fn put_growth(view: KeyView<'_>, put: &PbPutRequest) -> u64 {
    let value = if put.ignore_value {
        view.get(&put.key).map_or(0, |change| value_bytes(change))
    } else {
        put.value.len()
    };
    (put.key.len() + value) as u64 + CHANGE_OVERHEAD
}

fn value_bytes(change: &KeyChange) -> usize {
    match &change.kind {
        ChangeKind::Put { value, .. } => value.len(),
        ChangeKind::Delete => 0,
    }
}

/// Refuses a transaction whose answer would be too large, given the bytes of all data.
pub(super) fn check_answer(
    view: KeyView<'_>,
    data: u64,
    path: &TxnPath<'_>,
) -> Result<(), StoreError> {
    let written = path_growth(view, path);
    // No operation can show more than all data.
    let most = (data + written).saturating_mul(op_count(path));
    if most <= MOST_ANSWER {
        return Ok(());
    }
    answer_fits(path_answer_bytes(view, written, path)?)
}

fn op_count(path: &TxnPath<'_>) -> u64 {
    let each = path.steps.iter().map(|step| match step {
        TxnStep::Op(_) => 1,
        TxnStep::Nested(nested) => op_count(nested),
    });
    each.sum()
}

/// Returns the bytes of all answers of a path, each as if it included everything that the path writes.
fn path_answer_bytes(
    view: KeyView<'_>,
    written: u64,
    path: &TxnPath<'_>,
) -> Result<u64, StoreError> {
    let mut bytes = 0_u64;
    for step in &path.steps {
        bytes = bytes.saturating_add(match step {
            TxnStep::Op(PbTxnOpRequest::RequestRange(range)) => {
                range_answer_bytes(view, range)? + written
            }
            TxnStep::Op(PbTxnOpRequest::RequestPut(put)) if put.prev_kv => {
                let shown = view.get(&put.key).map_or(0, |c| shown_bytes(c, false));
                shown + written
            }
            TxnStep::Op(PbTxnOpRequest::RequestDeleteRange(delete)) if delete.prev_kv => {
                delete_answer_bytes(view, delete) + written
            }
            TxnStep::Op(_) => 0,
            TxnStep::Nested(nested) => path_answer_bytes(view, written, nested)?,
        });
    }
    Ok(bytes)
}

fn range_answer_bytes(view: KeyView<'_>, range: &PbRangeRequest) -> Result<u64, StoreError> {
    match view.range_bytes(range) {
        // A revision that the transaction itself is about to make.
        Err(StoreError::FutureRevision) => Ok(0),
        bytes => bytes,
    }
}

/// Returns the bytes of a deletion's answer.
pub(super) fn delete_answer_bytes(view: KeyView<'_>, delete: &PbDeleteRequest) -> u64 {
    if !delete.prev_kv {
        return 0;
    }
    let range = KeyRange::new(&delete.key, &delete.range_end);
    let found = view.live(&range, view.revision);
    found.map(|change| shown_bytes(change, false)).sum()
}
