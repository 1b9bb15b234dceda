//! One step of a sequence, before it is known at which revision the sequence begins.
//!
//! Revisions in a step are relative to the sequence: 1 is where it begins, as on a fresh store, so that a
//! sequence means the same on a server that has seen others before. See [`Epoch`].

use etcd_client::proto::{
    PbCompactionRequest, PbCompare, PbDeleteRequest, PbLeaseGrantRequest, PbLeaseRevokeRequest,
    PbLeaseTimeToLiveRequest, PbPutRequest, PbRangeRequest, PbTargetUnion, PbTxnOpRequest,
    PbTxnRequest, PbTxnRequestOp,
};

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Range(PbRangeRequest),
    Put(PbPutRequest),
    Delete(PbDeleteRequest),
    Txn(PbTxnRequest),
    /// All watches are brought up to date first, because which of them a compaction ends is a race.
    Compact(PbCompactionRequest),
    /// A lease that outlives the sequence, or a refusal.
    Grant(PbLeaseGrantRequest),
    /// A lease that would end within the sequence, at another time on each server: revoked at once.
    GrantAndRevoke(PbLeaseGrantRequest),
    Revoke(PbLeaseRevokeRequest),
    KeepAlive(i64),
    TimeToLive(PbLeaseTimeToLiveRequest),
    Leases,
    /// A short lease with these keys, and the wait until it has ended everywhere.
    Expire(i64, Vec<Vec<u8>>),
    Watch(Watch),
    /// Ends the n-th watch of the sequence, if there are so many.
    CancelWatch(usize),
    /// Asks how far the watches are, when they are as far as they can be.
    Progress,
}

/// A request to watch. The wire's own message cannot be named outside the client.
#[expect(clippy::struct_excessive_bools, reason = "each is a field on the wire")]
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    pub(crate) key: Vec<u8>,
    pub(crate) range_end: Vec<u8>,
    pub(crate) start: i64,
    pub(crate) no_put: bool,
    pub(crate) no_delete: bool,
    pub(crate) prev_kv: bool,
    pub(crate) fragment: bool,
    pub(crate) id: i64,
}

/// Revisions from here on are meant as they are: a future that no sequence reaches.
pub(super) const FAR: i64 = 1_000_000_000;

/// Where a sequence begins on one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    /// The revision the server was at.
    pub(crate) base: i64,
}

impl Epoch {
    /// From the sequence's revision to the server's.
    pub(super) const fn absolute(self, relative: i64) -> i64 {
        if relative <= 0 || relative >= FAR {
            relative
        } else {
            relative + self.base - 1
        }
    }

    /// From the server's revision to the sequence's.
    pub(super) const fn relative(self, absolute: i64) -> i64 {
        if absolute <= 0 || absolute >= FAR {
            absolute
        } else {
            absolute - self.base + 1
        }
    }

    pub(super) fn range(self, request: &PbRangeRequest) -> PbRangeRequest {
        PbRangeRequest {
            revision: self.absolute(request.revision),
            min_mod_revision: self.absolute(request.min_mod_revision),
            max_mod_revision: self.absolute(request.max_mod_revision),
            min_create_revision: self.absolute(request.min_create_revision),
            max_create_revision: self.absolute(request.max_create_revision),
            ..request.clone()
        }
    }

    pub(super) fn txn(self, request: &PbTxnRequest) -> PbTxnRequest {
        let branch = |ops: &[PbTxnRequestOp]| ops.iter().map(|op| self.txn_op(op)).collect();
        PbTxnRequest {
            compare: request.compare.iter().map(|c| self.compare(c)).collect(),
            success: branch(&request.success),
            failure: branch(&request.failure),
        }
    }

    fn txn_op(self, op: &PbTxnRequestOp) -> PbTxnRequestOp {
        let request = op.request.as_ref().map(|request| match request {
            PbTxnOpRequest::RequestRange(range) => PbTxnOpRequest::RequestRange(self.range(range)),
            PbTxnOpRequest::RequestTxn(txn) => PbTxnOpRequest::RequestTxn(self.txn(txn)),
            other => other.clone(),
        });
        PbTxnRequestOp { request }
    }

    fn compare(self, compare: &PbCompare) -> PbCompare {
        let target_union = compare.target_union.as_ref().map(|target| match target {
            PbTargetUnion::CreateRevision(at) => PbTargetUnion::CreateRevision(self.absolute(*at)),
            PbTargetUnion::ModRevision(at) => PbTargetUnion::ModRevision(self.absolute(*at)),
            other => other.clone(),
        });
        PbCompare {
            target_union,
            ..compare.clone()
        }
    }
}
