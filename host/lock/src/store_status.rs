//! [`StoreStatus`]: the state of a store and its members, for its operator.

use leasehold_ids::Revision;

use crate::error::StoreError;
use crate::locks::Locks;
use crate::requests::header_revision;

/// The state of the member that answers, and the members that it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// The version of the server.
    pub version: String,
    /// The cluster's id.
    pub cluster: u64,
    /// The last revision.
    pub revision: Revision,
    /// The raft term; of an embedded store, the number of openings.
    pub term: u64,
    /// The size of its files, in bytes.
    pub data_bytes: u64,
    /// The bytes in use among them.
    pub used_bytes: u64,
    /// The most bytes; 0 where the server does not report it (etcd before 3.6).
    pub quota_bytes: u64,
    /// Alarms and other errors that the server reports.
    pub errors: Vec<String>,
    /// The number of leases; `None` without the right to list them.
    pub leases: Option<usize>,
    /// The members; empty without the right to list them.
    pub members: Vec<StoreMember>,
}

/// A member of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreMember {
    /// Its name.
    pub name: String,
    /// Its endpoints for clients.
    pub endpoints: Vec<String>,
    /// True for the leader.
    pub leads: bool,
}

impl Locks {
    /// Requests the status of the store, its members and its leases.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses its status.
    pub async fn store_status(&self) -> Result<StoreStatus, StoreError> {
        let requests = &self.0.requests;
        let status = || {
            let mut maintenance = requests.client().maintenance_client();
            async move { maintenance.status().await }
        };
        let status = requests.send(status).await?;
        let members = || {
            let mut cluster = requests.client().cluster_client();
            async move { cluster.member_list().await }
        };
        let members = requests.send(members).await.ok();
        let members = members.as_ref().map_or(&[][..], |list| list.members());
        let leases = || {
            let mut leases = requests.client().lease_client();
            async move { leases.leases().await }
        };
        let leases = requests.send(leases).await.ok();
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
        let header = status.header();
        Ok(StoreStatus {
            version: status.version().to_owned(),
            cluster: header.map_or(0, etcd_client::ResponseHeader::cluster_id),
            revision: header_revision(header),
            term: status.raft_term(),
            data_bytes: size(status.db_size()),
            used_bytes: size(status.raft_used_db_size()),
            quota_bytes: size(status.db_size_quota()),
            errors: status.errors().to_vec(),
            leases: leases.map(|list| list.leases().len()),
            members: members
                .iter()
                .map(|member| StoreMember {
                    name: member.name().to_owned(),
                    endpoints: member.client_urls().to_vec(),
                    leads: member.id() == status.leader(),
                })
                .collect(),
        })
    }
}
