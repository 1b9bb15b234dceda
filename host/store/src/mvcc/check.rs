//! Checks of a request's form, before anything runs.
//!
//! This file reads requests, never the state.

use std::collections::HashSet;

use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp,
};

use crate::error::StoreError;
use crate::key_range::KeyRange;

/// The most conditions or operations of one transaction, nested ones included.
const MOST_OPS: usize = 128;

/// Checks the form of a range request.
pub(crate) fn range(request: &PbRangeRequest) -> Result<(), StoreError> {
    if request.key.is_empty() {
        return Err(StoreError::EmptyKey);
    }
    if !(0..=2).contains(&request.sort_order) || !(0..=4).contains(&request.sort_target) {
        return Err(StoreError::InvalidSort);
    }
    Ok(())
}

/// Checks the form of a put.
pub(crate) fn put(request: &PbPutRequest) -> Result<(), StoreError> {
    if request.key.is_empty() {
        return Err(StoreError::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(StoreError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(StoreError::LeaseProvided);
    }
    Ok(())
}

/// Checks the form of a delete.
pub(crate) fn delete(request: &PbDeleteRequest) -> Result<(), StoreError> {
    if request.key.is_empty() {
        return Err(StoreError::EmptyKey);
    }
    Ok(())
}

/// Checks the form of a transaction: of its parts, their number, and that no key is written twice.
pub(crate) fn txn(request: &PbTxnRequest) -> Result<(), StoreError> {
    parts(request, MOST_OPS)?;
    Written::collect(&request.success)?;
    Written::collect(&request.failure)?;
    Ok(())
}

fn parts(request: &PbTxnRequest, most: usize) -> Result<(), StoreError> {
    let count = request
        .compare
        .len()
        .max(request.success.len())
        .max(request.failure.len());
    if count > most {
        return Err(StoreError::TooManyOps);
    }
    if request.compare.iter().any(|c| c.key.is_empty()) {
        return Err(StoreError::EmptyKey);
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(PbTxnOpRequest::RequestRange(r)) => range(r)?,
            Some(PbTxnOpRequest::RequestPut(r)) => put(r)?,
            Some(PbTxnOpRequest::RequestDeleteRange(r)) => delete(r)?,
            Some(PbTxnOpRequest::RequestTxn(r)) => parts(r, most - count)?,
            None => return Err(StoreError::KeyNotFound),
        }
    }
    Ok(())
}

/// The keys that some operations put, and the ranges that they delete.
#[derive(Default)]
struct Written {
    puts: HashSet<Vec<u8>>,
    deletes: Vec<KeyRange>,
}

impl Written {
    /// Collects the keys and ranges over one branch, and refuses a key that is put twice, or put and deleted. The
    /// two branches of a nested transaction may put the same key: only one of them runs.
    fn collect(ops: &[PbTxnRequestOp]) -> Result<Self, StoreError> {
        let mut written = Self::default();
        for op in ops {
            // As in etcd, a delete to the end of the keyspace is not checked here: the later operations of the
            // transaction override it.
            if let Some(PbTxnOpRequest::RequestDeleteRange(delete)) = &op.request
                && delete.range_end != [0]
            {
                let range = KeyRange::new(&delete.key, &delete.range_end);
                written.deletes.push(range);
            }
        }
        for op in ops {
            if let Some(PbTxnOpRequest::RequestTxn(nested)) = &op.request {
                written.add_nested(nested)?;
            }
        }
        for op in ops {
            if let Some(PbTxnOpRequest::RequestPut(put)) = &op.request {
                written.add(put.key.clone(), &HashSet::new())?;
            }
        }
        Ok(written)
    }

    fn add_nested(&mut self, nested: &PbTxnRequest) -> Result<(), StoreError> {
        let then = Self::collect(&nested.success)?;
        let otherwise = Self::collect(&nested.failure)?;
        for key in &then.puts {
            self.add(key.clone(), &HashSet::new())?;
        }
        for key in otherwise.puts {
            self.add(key, &then.puts)?;
        }
        // Only now: one branch may put a key that the other deletes.
        self.deletes.extend(then.deletes);
        self.deletes.extend(otherwise.deletes);
        Ok(())
    }

    fn add(&mut self, key: Vec<u8>, unless: &HashSet<Vec<u8>>) -> Result<(), StoreError> {
        let twice = self.puts.contains(&key) && !unless.contains(&key);
        if twice || self.deletes.iter().any(|range| range.contains(&key)) {
            return Err(StoreError::DuplicateKey);
        }
        self.puts.insert(key);
        Ok(())
    }
}
