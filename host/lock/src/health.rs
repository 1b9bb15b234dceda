//! [`StoreHealth`]: how the store is, for people who look at it.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::StoreError;
use crate::locks::Locks;

/// How the store is, as the member that answers us says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// The version it says it has.
    pub version: String,
    /// Members of the cluster, as far as we may know.
    pub members: usize,
    /// The name of the leader; empty when it has none or may not say.
    pub leader: String,
    /// The revision it has come to.
    pub revision: i64,
    /// The size of its data, in bytes.
    pub data_bytes: u64,
    /// How long its answer took.
    pub round_trip: Duration,
}

impl Locks {
    /// Asks how the store is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not say.
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
        // A user without rights over the cluster may not ask for its members; the rest stands.
        let members = requests.send(members).await.ok();
        let members = members.as_ref().map_or(&[][..], |list| list.members());
        let leader = members.iter().find(|member| member.id() == status.leader());
        Ok(StoreHealth {
            version: status.version().to_owned(),
            members: members.len(),
            leader: leader.map_or_else(String::new, |member| member.name().to_owned()),
            revision: status
                .header()
                .map_or(0, etcd_client::ResponseHeader::revision),
            data_bytes: u64::try_from(status.db_size()).unwrap_or(0),
            round_trip,
        })
    }
}
