//! Content of the store at one revision, for a backup.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd_client::proto::PbResponseHeader;

use crate::change::KeyChange;

/// Live keys and leases of one durable revision. The keys share their memory with the store: a capture keeps the
/// values that are deleted meanwhile until it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct StoreCapture {
    /// The cluster's id.
    pub(crate) cluster: u64,
    /// The member's id.
    pub(crate) member: u64,
    /// The number of openings.
    pub(crate) term: u64,
    /// The revision.
    pub(crate) revision: i64,
    /// The last change of each live key, in order of keys.
    pub(crate) changes: Vec<Arc<KeyChange>>,
    /// Leases: id and TTL in seconds.
    pub(crate) leases: BTreeMap<i64, i64>,
}

impl StoreCapture {
    /// Returns a complete header at its revision.
    pub(crate) const fn header(&self) -> PbResponseHeader {
        PbResponseHeader {
            cluster_id: self.cluster,
            member_id: self.member,
            revision: self.revision,
            raft_term: self.term,
        }
    }
}
