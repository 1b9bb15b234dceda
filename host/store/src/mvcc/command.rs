//! Commands to the state, and the replies to them.

use etcd_client::proto::{
    PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbLeaseGrantRequest,
    PbLeaseGrantResponse, PbLeaseRevokeResponse, PbPutRequest, PbPutResponse, PbResponseHeader,
    PbTxnRequest, PbTxnResponse,
};
use prost::Message as _;

/// A write for the writer.
#[derive(Debug)]
pub(crate) enum WriteCommand {
    Put(PbPutRequest),
    Delete(PbDeleteRequest),
    Txn(PbTxnRequest),
    Compact(i64),
    Grant(PbLeaseGrantRequest),
    Revoke(i64),
    /// Ends those of these leases that have run out.
    Expire(Vec<i64>),
}

/// Result of a write. The revision of its header is set, the other header fields are the caller's.
#[derive(Debug)]
pub(crate) enum WriteReply {
    Put(PbPutResponse),
    Delete(PbDeleteResponse),
    Txn(PbTxnResponse),
    Compact(PbCompactionResponse),
    Grant(PbLeaseGrantResponse),
    Revoke(PbLeaseRevokeResponse),
    /// The number of leases ended.
    Expire(usize),
}

impl WriteReply {
    /// Returns the bytes of the answer.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Put(reply) => reply.encoded_len(),
            Self::Delete(reply) => reply.encoded_len(),
            Self::Txn(reply) => reply.encoded_len(),
            Self::Compact(_) | Self::Grant(_) | Self::Revoke(_) | Self::Expire(_) => 0,
        };
        bytes as u64
    }
}

/// Returns the header of a reply, with the revision alone.
pub(super) fn header_at(revision: i64) -> PbResponseHeader {
    PbResponseHeader {
        revision,
        ..PbResponseHeader::default()
    }
}
