//! Queues of keys under a name, oldest first, for locks and elections.
//!
//! The layout is that of Go's `concurrency` package, so its clients, `etcdctl lock` and the two services here share
//! the same queues. Nothing here may give a turn to a deleted entry.

use std::sync::Arc;

use etcd_client::proto::{
    PbCompare, PbCompareTarget, PbDeleteRequest, PbKeyValue, PbLeaseGrantRequest, PbPutRequest,
    PbRangeRequest, PbRangeResponse, PbResponseHeader, PbTargetUnion, PbTxnOpRequest,
    PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};
use etcd_client::{SortOrder, SortTarget};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::context::ServiceContext;
use super::status::stopped;
use crate::core::StoreCore;
use crate::error::StoreError;
use crate::key_range::KeyRange;

/// TTL of a lease granted for a caller without one, in seconds: Go's default for sessions.
pub(super) const SESSION_TTL: i64 = 60;

/// One entry in a queue: a key as it was put once. A later put under the same name is another entry.
#[derive(Debug, Clone)]
pub(crate) struct QueueEntry {
    /// The queue's name and a slash.
    prefix: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) lease: i64,
    pub(crate) create_revision: i64,
    version: i64,
}

/// An entry, and its value if it existed already.
pub(crate) struct EnteredQueue {
    pub(crate) entry: QueueEntry,
    pub(crate) previous_value: Option<Vec<u8>>,
}

/// Returns the prefix of a queue's keys.
pub(crate) fn prefix_of(name: &[u8]) -> Vec<u8> {
    let mut prefix = name.to_vec();
    prefix.push(b'/');
    prefix
}

/// Returns the range of a queue's keys.
pub(crate) fn range_of(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        // The last byte is the slash, so a next byte exists.
        *last = last.saturating_add(1);
    }
    (prefix.to_vec(), end)
}

/// Returns the oldest entry of a queue.
pub(crate) fn oldest(core: &StoreCore, name: &[u8]) -> Result<PbRangeResponse, StoreError> {
    let (key, range_end) = range_of(&prefix_of(name));
    core.range(&PbRangeRequest {
        key,
        range_end,
        limit: 1,
        sort_target: SortTarget::Create as i32,
        sort_order: SortOrder::Ascend as i32,
        ..PbRangeRequest::default()
    })
}

/// Enters a queue, calls `ready`, and waits for the turn. The entry is deleted when its request is dropped, or when
/// a step fails. It stays when the store stops, for the client may come back.
///
/// Runs as a task, because a request that is dropped in the middle of a write could not clean up.
pub(crate) async fn enter_and_wait<F, Fut>(
    context: &ServiceContext,
    name: Vec<u8>,
    lease: i64,
    value: Vec<u8>,
    ready: F,
) -> Result<QueueEntry, Status>
where
    F: FnOnce(Arc<StoreCore>, EnteredQueue) -> Fut + Send + 'static,
    Fut: Future<Output = Result<QueueEntry, Status>> + Send,
{
    let request_dropped = context.cancel.child_token();
    let _cancels_with_the_request = request_dropped.clone().drop_guard();
    let (core, closing) = (Arc::clone(&context.core), context.cancel.clone());
    let standing = async move {
        let entered = QueueEntry::enter(&core, &name, lease, value).await?;
        let entered_entry = entered.entry.clone();
        let turn = async {
            let entry = ready(Arc::clone(&core), entered).await?;
            entry.wait_for_turn(&core, &request_dropped).await?;
            Ok(entry)
        };
        let outcome = turn.await;
        if outcome.is_err() && !closing.is_cancelled() {
            // If this fails too, the entry ends with its lease.
            let _ = entered_entry.leave(&core).await;
        }
        outcome
    };
    context
        .tasks
        .spawn_on(standing, &context.runtime)
        .await
        .unwrap_or_else(|error| Err(Status::internal(format!("leasehold: a bug: {error}"))))
}

impl QueueEntry {
    /// Puts an entry at the end of a queue. If the lease has one there already, both calls share it, as one
    /// acquisition. It is touched then, so that the other waiter cannot delete it by giving up.
    async fn enter(
        core: &StoreCore,
        name: &[u8],
        lease: i64,
        value: Vec<u8>,
    ) -> Result<EnteredQueue, StoreError> {
        let lease = lease_or_new(core, lease).await?;
        let prefix = prefix_of(name);
        let mut key = prefix.clone();
        key.extend_from_slice(format!("{lease:x}").as_bytes());
        let put = PbPutRequest {
            key: key.clone(),
            value,
            lease,
            ..PbPutRequest::default()
        };
        let touch = PbPutRequest {
            key: key.clone(),
            ignore_value: true,
            ignore_lease: true,
            prev_kv: true,
            ..PbPutRequest::default()
        };
        let reply = core
            .txn(PbTxnRequest {
                compare: vec![create_is(&key, 0)],
                success: vec![op(PbTxnOpRequest::RequestPut(put))],
                failure: vec![op(PbTxnOpRequest::RequestPut(touch))],
            })
            .await?;
        let entry = QueueEntry {
            prefix,
            key,
            lease,
            create_revision: revision_of(reply.header.as_ref()),
            version: 1,
        };
        Ok(match previous(reply) {
            None => EnteredQueue {
                entry,
                previous_value: None,
            },
            Some(found) => EnteredQueue {
                entry: QueueEntry {
                    create_revision: found.create_revision,
                    version: found.version + 1,
                    ..entry
                },
                previous_value: Some(found.value),
            },
        })
    }

    /// Returns the entry after one more put to its key by the same client.
    pub(crate) const fn rewritten(mut self) -> Self {
        self.version += 1;
        self
    }

    /// Waits until no entry is ahead, and checks that this entry still exists then. A lease that ended meanwhile
    /// deleted it: etcd 3.4 would grant all the same.
    async fn wait_for_turn(
        &self,
        core: &StoreCore,
        request_dropped: &CancellationToken,
    ) -> Result<(), Status> {
        let changes = core.watchers().subscribe();
        changes.add(KeyRange::One(self.key.as_slice().into()));
        let mut followed: Option<KeyRange> = None;
        loop {
            // The order matters: if no entry is ahead, and this one exists later, then it is first.
            let ahead = self.next_ahead(core)?;
            if !self.exists(core)? {
                return Err(StoreError::SessionExpired.into());
            }
            let Some(ahead) = ahead else {
                return Ok(());
            };
            if followed.as_ref() != Some(&ahead) {
                if let Some(before) = followed.take() {
                    changes.remove(&before);
                }
                changes.add(ahead.clone());
                followed = Some(ahead);
                // The entry ahead may have been deleted between the reading and the subscription.
                continue;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = request_dropped.cancelled() => return Err(stopped()),
            }
        }
    }

    /// Returns the youngest entry ahead: only its end can give this one the turn.
    fn next_ahead(&self, core: &StoreCore) -> Result<Option<KeyRange>, StoreError> {
        let (key, range_end) = range_of(&self.prefix);
        let reply = core.range(&PbRangeRequest {
            key,
            range_end,
            limit: 1,
            sort_target: SortTarget::Create as i32,
            sort_order: SortOrder::Descend as i32,
            keys_only: true,
            max_create_revision: self.create_revision - 1,
            ..PbRangeRequest::default()
        })?;
        let first = reply.kvs.into_iter().next();
        Ok(first.map(|kv| KeyRange::One(kv.key.into())))
    }

    /// Returns true if the entry still exists.
    fn exists(&self, core: &StoreCore) -> Result<bool, StoreError> {
        let reply = core.range(&PbRangeRequest {
            key: self.key.clone(),
            keys_only: true,
            ..PbRangeRequest::default()
        })?;
        let found = reply.kvs.first();
        Ok(found.is_some_and(|kv| kv.create_revision == self.create_revision))
    }

    /// Deletes the entry, unless another request has entered with it since.
    async fn leave(&self, core: &StoreCore) -> Result<PbTxnResponse, StoreError> {
        core.txn(PbTxnRequest {
            compare: vec![
                create_is(&self.key, self.create_revision),
                self.version_is(),
            ],
            success: vec![delete(&self.key)],
            failure: Vec::new(),
        })
        .await
    }

    fn version_is(&self) -> PbCompare {
        PbCompare {
            target: PbCompareTarget::Version as i32,
            key: self.key.clone(),
            target_union: Some(PbTargetUnion::Version(self.version)),
            ..PbCompare::default()
        }
    }
}

/// Deletes a key if its create revision is still the given one.
pub(crate) async fn remove(
    core: &StoreCore,
    key: &[u8],
    create_revision: i64,
) -> Result<PbTxnResponse, StoreError> {
    core.txn(PbTxnRequest {
        compare: vec![create_is(key, create_revision)],
        success: vec![delete(key)],
        failure: Vec::new(),
    })
    .await
}

/// Replaces the value of a key if its create revision is still the given one.
pub(crate) async fn replace(
    core: &StoreCore,
    put: PbPutRequest,
    create_revision: i64,
) -> Result<PbTxnResponse, StoreError> {
    core.txn(PbTxnRequest {
        compare: vec![create_is(&put.key, create_revision)],
        success: vec![op(PbTxnOpRequest::RequestPut(put))],
        failure: Vec::new(),
    })
    .await
}

async fn lease_or_new(core: &StoreCore, lease: i64) -> Result<i64, StoreError> {
    if lease != 0 {
        return Ok(lease);
    }
    let asked = PbLeaseGrantRequest {
        ttl: SESSION_TTL,
        id: 0,
    };
    Ok(core.lease_grant(asked).await?.id)
}

/// A compare for "is equal", the default of a compare.
fn create_is(key: &[u8], create_revision: i64) -> PbCompare {
    PbCompare {
        target: PbCompareTarget::Create as i32,
        key: key.to_vec(),
        target_union: Some(PbTargetUnion::CreateRevision(create_revision)),
        ..PbCompare::default()
    }
}

fn delete(key: &[u8]) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest {
        key: key.to_vec(),
        ..PbDeleteRequest::default()
    }))
}

const fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp {
        request: Some(request),
    }
}

fn revision_of(header: Option<&PbResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// Returns the key and value that the transaction's one put replaced.
fn previous(reply: PbTxnResponse) -> Option<PbKeyValue> {
    let first = reply.responses.into_iter().next()?;
    match first.response? {
        PbTxnOpResponse::ResponsePut(put) => put.prev_kv,
        _ => None,
    }
}
