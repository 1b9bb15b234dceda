//! How much a write adds to the data, and to its answer, before it is carried out.
//!
//! Both are judged first, because a transaction that has begun to write does not fail.

use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest, PbTxnRequest,
};

use super::command::Command;
use super::memory::{CHANGE_OVERHEAD, LEASE_BYTES};
use super::path::{Path, Step};
use super::read::{MOST_ANSWER, View, answer_fits, shown_bytes};
use crate::change::{Change, What};
use crate::error::StoreError;
use crate::key_range::KeyRange;

/// The most that a command can add, whichever branch of it runs.
pub(super) fn most_growth(view: View<'_>, command: &Command) -> u64 {
    match command {
        Command::Put(put) => of_put(view, put),
        Command::Txn(txn) => of_branches(view, txn),
        Command::Grant(_) => LEASE_BYTES,
        Command::Delete(_) | Command::Compact(_) | Command::Revoke(_) | Command::Expire(_) => 0,
    }
}

fn of_branches(view: View<'_>, txn: &PbTxnRequest) -> u64 {
    let ops = txn.success.iter().chain(&txn.failure);
    let each = ops.map(|op| match &op.request {
        Some(PbTxnOpRequest::RequestPut(put)) => of_put(view, put),
        Some(PbTxnOpRequest::RequestTxn(nested)) => of_branches(view, nested),
        _ => 0,
    });
    each.sum()
}

/// What the branches that run add.
pub(super) fn growth(view: View<'_>, path: &Path<'_>) -> u64 {
    let each = path.steps.iter().map(|step| match step {
        Step::Op(PbTxnOpRequest::RequestPut(put)) => of_put(view, put),
        Step::Op(_) => 0,
        Step::Nested(nested) => growth(view, nested),
    });
    each.sum()
}

/// What a put adds. One that keeps the value has another copy of it.
pub(super) fn of_put(view: View<'_>, put: &PbPutRequest) -> u64 {
    let value = if put.ignore_value {
        view.get(&put.key).map_or(0, |change| value_bytes(change))
    } else {
        put.value.len()
    };
    (put.key.len() + value) as u64 + CHANGE_OVERHEAD
}

fn value_bytes(change: &Change) -> usize {
    match &change.what {
        What::Put { value, .. } => value.len(),
        What::Delete => 0,
    }
}

/// Refuses a transaction whose answer would be too large, given the bytes of all data.
pub(super) fn check_answer(view: View<'_>, data: u64, path: &Path<'_>) -> Result<(), StoreError> {
    let written = growth(view, path);
    // No operation can show more than all there is.
    let most = (data + written).saturating_mul(count(path));
    if most <= MOST_ANSWER {
        return Ok(());
    }
    answer_fits(of_answers(view, written, path)?)
}

fn count(path: &Path<'_>) -> u64 {
    let each = path.steps.iter().map(|step| match step {
        Step::Op(_) => 1,
        Step::Nested(nested) => count(nested),
    });
    each.sum()
}

/// The bytes of all answers of a path, each as if it showed everything that the path writes as well.
fn of_answers(view: View<'_>, written: u64, path: &Path<'_>) -> Result<u64, StoreError> {
    let mut bytes = 0_u64;
    for step in &path.steps {
        bytes = bytes.saturating_add(match step {
            Step::Op(PbTxnOpRequest::RequestRange(range)) => of_range(view, range)? + written,
            Step::Op(PbTxnOpRequest::RequestPut(put)) if put.prev_kv => {
                let shown = view.get(&put.key).map_or(0, |c| shown_bytes(c, false));
                shown + written
            }
            Step::Op(PbTxnOpRequest::RequestDeleteRange(delete)) if delete.prev_kv => {
                of_delete(view, delete) + written
            }
            Step::Op(_) => 0,
            Step::Nested(nested) => of_answers(view, written, nested)?,
        });
    }
    Ok(bytes)
}

fn of_range(view: View<'_>, range: &PbRangeRequest) -> Result<u64, StoreError> {
    match view.range_bytes(range) {
        // A revision that the transaction itself is about to make.
        Err(StoreError::FutureRevision) => Ok(0),
        bytes => bytes,
    }
}

/// The bytes of a deletion's answer.
pub(super) fn of_delete(view: View<'_>, delete: &PbDeleteRequest) -> u64 {
    if !delete.prev_kv {
        return 0;
    }
    let range = KeyRange::new(&delete.key, &delete.range_end);
    let found = view.live(&range, view.revision);
    found.map(|change| shown_bytes(change, false)).sum()
}
