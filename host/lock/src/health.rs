//! [`StoreHealth`]: facts about the store, for display.

use std::time::Duration;

use leasehold_ids::Revision;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::locks::Locks;
use crate::requests::header_revision;

/// Facts about the store, from the member that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// The version of the server.
    pub version: String,
    /// The number of members; 0 without the right to list them.
    pub members: usize,
    /// The name of the leader; empty without one, or without the right to list members.
    pub leader: String,
    /// The current revision.
    pub revision: Revision,
    /// The size of its data, in bytes.
    pub data_bytes: u64,
    /// The time from the request to the answer.
    pub round_trip: Duration,
}

impl Locks {
    /// Requests the status of the store and its members.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn health(&self) -> Result<StoreHealth, StoreError> {
        let requests = &self.0.requests;
        let status = || {
            let mut maintenance = requests.client().maintenance_client();
            async move { maintenance.status().await }
        };
        let began = Instant::now();
        let status = requests.send(status).await?;
        let round_trip = began.elapsed();
        let members = || {
            let mut cluster = requests.client().cluster_client();
            async move { cluster.member_list().await }
        };
        // A user without rights over the cluster cannot list its members; the other facts are returned all the same.
        let members = requests.send(members).await.ok();
        let members = members.as_ref().map_or(&[][..], |list| list.members());
        let leader = members.iter().find(|member| member.id() == status.leader());
        Ok(StoreHealth {
            version: status.version().to_owned(),
            members: members.len(),
            leader: leader.map_or_else(String::new, |member| member.name().to_owned()),
            revision: header_revision(status.header()),
            data_bytes: u64::try_from(status.db_size()).unwrap_or(0),
            round_trip,
        })
    }
}
