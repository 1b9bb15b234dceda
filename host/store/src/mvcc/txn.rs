//! One write in progress: all its changes have the same revision.
//!
//! Conditions, nested ones too, are decided before the first operation runs, and so are all refusals: a transaction
//! that has begun to write does not fail.

use std::sync::Arc;

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse, PbTxnOpRequest,
    PbTxnOpResponse, PbTxnRequest, PbTxnResponse,
};

use super::command::header_at;
use super::memory::change_memory;
use super::read::{KeyView, answer_fits};
use super::size;
use super::state::MvccState;
use super::txn_path::{OpRunner, TxnPath, TxnStep};
use crate::change::{ChangeKind, KeyChange, RevisionChanges, SharedKey};
use crate::error::StoreError;
use crate::key_range::KeyRange;

/// Returns true if any operation writes, whichever branch runs.
pub(crate) fn writes(request: &PbTxnRequest) -> bool {
    any(request, &|op| {
        matches!(
            op,
            PbTxnOpRequest::RequestPut(_) | PbTxnOpRequest::RequestDeleteRange(_)
        )
    })
}

fn any(request: &PbTxnRequest, is: &dyn Fn(&PbTxnOpRequest) -> bool) -> bool {
    let ops = request.success.iter().chain(&request.failure);
    ops.filter_map(|op| op.request.as_ref()).any(|op| match op {
        PbTxnOpRequest::RequestTxn(nested) => any(nested, is),
        op => is(op),
    })
}

/// Answers a transaction that writes nothing, from durable data.
pub(crate) fn read_only(
    view: KeyView<'_>,
    request: &PbTxnRequest,
) -> Result<PbTxnResponse, StoreError> {
    let path = TxnPath::decide(view, request);
    path.check_ranges(view)?;
    let mut reader = Reader { view, bytes: 0 };
    let (succeeded, responses) = path.run(&mut reader)?;
    Ok(PbTxnResponse {
        header: Some(header_at(view.revision)),
        succeeded,
        responses,
    })
}

struct Reader<'a> {
    view: KeyView<'a>,
    /// Bytes of the answer so far.
    bytes: u64,
}

impl OpRunner for Reader<'_> {
    fn run(&mut self, op: &PbTxnOpRequest) -> Result<PbTxnOpResponse, StoreError> {
        match op {
            PbTxnOpRequest::RequestRange(range) => {
                self.bytes += self.view.range_bytes(range)?;
                answer_fits(self.bytes)?;
                self.view.range(range).map(PbTxnOpResponse::ResponseRange)
            }
            // The caller has checked that there are none.
            _ => Err(StoreError::Invalid("a read-only transaction writes".into())),
        }
    }
}

/// A write in progress.
pub(super) struct PendingWrite<'s> {
    state: &'s mut MvccState,
    changes: Vec<Arc<KeyChange>>,
}

impl<'s> PendingWrite<'s> {
    pub(super) fn new(state: &'s mut MvccState) -> Self {
        Self {
            state,
            changes: Vec::new(),
        }
    }

    /// Returns the revision of its changes.
    const fn number(&self) -> i64 {
        self.state.applied + 1
    }

    /// Returns the present revision of the keys.
    const fn revision(&self) -> i64 {
        if self.changes.is_empty() {
            self.state.applied
        } else {
            self.number()
        }
    }

    /// Returns the keys as this write sees them: with everything applied, and its own changes.
    pub(super) const fn view(&self) -> KeyView<'_> {
        KeyView {
            index: &self.state.index,
            revision: self.revision(),
            compacted: self.state.compacted,
        }
    }

    /// Makes the changes a revision, unless there are none.
    pub(super) fn finish(self) {
        if self.changes.is_empty() {
            return;
        }
        self.state.applied += 1;
        let revision = Arc::new(RevisionChanges {
            number: self.state.applied,
            changes: self.changes.into(),
        });
        self.state.log.push_back(Arc::clone(&revision));
        self.state.batch.revisions.push(revision);
    }

    pub(super) fn txn(&mut self, request: &PbTxnRequest) -> Result<PbTxnResponse, StoreError> {
        let path = TxnPath::decide(self.view(), request);
        self.check_puts(&path)?;
        path.check_ranges(self.view())?;
        self.state.has_room(size::path_growth(self.view(), &path))?;
        size::check_answer(self.view(), self.state.bytes, &path)?;
        let (succeeded, responses) = path.run(self)?;
        Ok(PbTxnResponse {
            header: Some(header_at(self.revision())),
            succeeded,
            responses,
        })
    }

    fn check_puts(&self, path: &TxnPath<'_>) -> Result<(), StoreError> {
        path.steps.iter().try_for_each(|step| match step {
            TxnStep::Op(PbTxnOpRequest::RequestPut(put)) => self.check_put(put),
            TxnStep::Op(_) => Ok(()),
            TxnStep::Nested(path) => self.check_puts(path),
        })
    }

    pub(super) fn check_put(&self, request: &PbPutRequest) -> Result<(), StoreError> {
        if (request.ignore_value || request.ignore_lease) && self.view().get(&request.key).is_none()
        {
            return Err(StoreError::KeyNotFound);
        }
        if request.lease != 0 && !self.state.leases.contains(request.lease) {
            return Err(StoreError::LeaseNotFound);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, request: &PbPutRequest) -> PbPutResponse {
        let number = self.number();
        let previous = self.view().get(&request.key).map(Arc::clone);
        let prev_kv = match &previous {
            Some(change) if request.prev_kv => Some(change.key_value(false)),
            _ => None,
        };
        let (mut create_revision, mut version) = (number, 1);
        let mut lease = request.lease;
        let mut value: Option<Box<[u8]>> = None;
        if let Some(ChangeKind::Put {
            create_revision: c,
            version: v,
            lease: l,
            value: bytes,
        }) = previous.as_ref().map(|change| &change.kind)
        {
            (create_revision, version) = (*c, *v + 1);
            if request.ignore_lease {
                lease = *l;
            }
            if request.ignore_value {
                value = Some(bytes.clone());
            }
        }
        let key = previous.map_or_else(
            || self.known_key(&request.key),
            |change| SharedKey::clone(&change.key),
        );
        let value = value.unwrap_or_else(|| request.value.as_slice().into());
        self.record(
            key,
            ChangeKind::Put {
                create_revision,
                version,
                lease,
                value,
            },
        );
        PbPutResponse {
            header: Some(header_at(number)),
            prev_kv,
        }
    }

    pub(super) fn delete(&mut self, request: &PbDeleteRequest) -> PbDeleteResponse {
        let range = KeyRange::new(&request.key, &request.range_end);
        let found: Vec<_> = self
            .view()
            .live(&range, self.revision())
            .map(Arc::clone)
            .collect();
        for change in &found {
            self.record(SharedKey::clone(&change.key), ChangeKind::Delete);
        }
        PbDeleteResponse {
            header: Some(header_at(self.revision())),
            deleted: i64::try_from(found.len()).unwrap_or(i64::MAX),
            prev_kvs: if request.prev_kv {
                found.iter().map(|change| change.key_value(false)).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// Deletes one key, if it exists.
    pub(super) fn remove(&mut self, key: &SharedKey) {
        if self.view().get(key).is_some() {
            self.record(SharedKey::clone(key), ChangeKind::Delete);
        }
    }

    /// Returns the key as the index has it, so that its bytes are kept once.
    fn known_key(&self, key: &[u8]) -> SharedKey {
        match self.state.index.get_key_value(key) {
            Some((known, _)) => SharedKey::clone(known),
            None => key.into(),
        }
    }

    fn record(&mut self, key: SharedKey, kind: ChangeKind) {
        let revision = self.number();
        let (before, replaced) = self
            .view()
            .get(&key)
            .map_or((0, 0), |change| (change.lease(), change_memory(change)));
        let change = Arc::new(KeyChange {
            key: SharedKey::clone(&key),
            revision,
            sub: u32::try_from(self.changes.len()).unwrap_or(u32::MAX),
            kind,
        });
        if before != change.lease() {
            self.state.leases.detach(before, &key);
            self.state.leases.attach(change.lease(), &key);
        }
        self.state.bytes += change_memory(&change);
        self.state.live += if change.is_put() {
            change_memory(&change)
        } else {
            0
        };
        self.state.live -= replaced;
        self.state
            .index
            .entry(key)
            .or_default()
            .push(Arc::clone(&change));
        self.changes.push(change);
    }
}

impl OpRunner for PendingWrite<'_> {
    fn run(&mut self, op: &PbTxnOpRequest) -> Result<PbTxnOpResponse, StoreError> {
        Ok(match op {
            PbTxnOpRequest::RequestRange(range) => {
                PbTxnOpResponse::ResponseRange(self.view().range(range)?)
            }
            PbTxnOpRequest::RequestPut(put) => PbTxnOpResponse::ResponsePut(self.put(put)),
            PbTxnOpRequest::RequestDeleteRange(delete) => {
                PbTxnOpResponse::ResponseDeleteRange(self.delete(delete))
            }
            // Split up when the path was decided.
            PbTxnOpRequest::RequestTxn(nested) => PbTxnOpResponse::ResponseTxn(self.txn(nested)?),
        })
    }
}
