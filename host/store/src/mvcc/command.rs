//! Commands to the state, and the replies to them.

use etcd_client::proto::{
    PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbLeaseGrantRequest,
    PbLeaseGrantResponse, PbLeaseRevokeResponse, PbPutRequest, PbPutResponse, PbResponseHeader,
    PbTxnRequest, PbTxnResponse,
};
use prost::Message as _;

/// A write, as the writer gets it.
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

/// What a write came to. Its header's revision is filled in, the rest of it is the caller's.
#[derive(Debug)]
pub(crate) enum WriteReply {
    Put(PbPutResponse),
    Delete(PbDeleteResponse),
    Txn(PbTxnResponse),
    Compact(PbCompactionResponse),
    Grant(PbLeaseGrantResponse),
    Revoke(PbLeaseRevokeResponse),
    /// How many leases were ended.
    Expire(usize),
}

impl WriteReply {
    /// The bytes of the answer.
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

/// The header of a reply, with the revision alone.
pub(super) fn header_at(revision: i64) -> PbResponseHeader {
    PbResponseHeader {
        revision,
        ..PbResponseHeader::default()
    }
}
