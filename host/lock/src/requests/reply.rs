//! [`StoreReply`]: the reply to a transaction or a read.

use etcd_client::{GetResponse, ResponseHeader, TxnOpResponse};
use leasehold_ids::Revision;

use crate::renewal::ReplyOrigin;

/// The answer to a transaction or a reading.
pub(crate) struct StoreReply {
    pub(crate) succeeded: bool,
    pub(crate) revision: Revision,
    pub(crate) origin: ReplyOrigin,
    pub(super) parts: Vec<TxnOpResponse>,
}

impl StoreReply {
    /// An empty reply of `origin`.
    #[cfg(test)]
    pub(crate) const fn for_test(origin: ReplyOrigin) -> Self {
        Self {
            succeeded: true,
            revision: Revision::NONE,
            origin,
            parts: Vec::new(),
        }
    }

    pub(crate) fn range(&self, at: usize) -> Option<&GetResponse> {
        match self.parts.get(at) {
            Some(TxnOpResponse::Get(range)) => Some(range),
            _ => None,
        }
    }

    pub(crate) fn deleted(&self, at: usize) -> i64 {
        match self.parts.get(at) {
            Some(TxnOpResponse::Delete(delete)) => delete.deleted(),
            _ => 0,
        }
    }
}

/// The member and the term that a header names.
pub(crate) fn origin(header: Option<&ResponseHeader>) -> ReplyOrigin {
    header.map_or(ReplyOrigin { member: 0, term: 0 }, |header| ReplyOrigin {
        member: header.member_id(),
        term: header.raft_term(),
    })
}
