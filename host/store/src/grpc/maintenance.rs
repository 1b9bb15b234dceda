//! etcd's `Maintenance` service: the health of the store.
//!
//! It must never change a key, a lease or a revision.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse,
    PbDowngradeRequest, PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest,
    PbHashResponse, PbMaintenanceService, PbMoveLeaderRequest, PbMoveLeaderResponse,
    PbSnapshotRequest, PbStatusRequest, PbStatusResponse,
};
use etcd_client::{AlarmAction, AlarmType};
use tonic::{Request, Response, Status};

use super::context::ServiceContext;
use super::snapshot::{SnapshotSender, SnapshotStream};
use super::status::unsupported;
use crate::core::StoreCore;

/// The version of etcd that clients receive. Some parse it as three numbers and choose their requests by it, so it
/// is not a text of our own. The API is that of 3.5, and no etcd was ever released as `.99`.
pub(crate) const API_VERSION: &str = "3.5.99";

/// The version of the cluster, as etcd derives it from those of its members.
pub(crate) const CLUSTER_VERSION: &str = "3.5.0";

/// The service.
pub(crate) struct MaintenanceService {
    core: Arc<StoreCore>,
    snapshots: SnapshotSender,
}

impl MaintenanceService {
    pub(crate) fn new(context: &ServiceContext) -> Self {
        Self {
            core: Arc::clone(&context.core),
            snapshots: SnapshotSender::new(context),
        }
    }
}

#[tonic::async_trait]
impl PbMaintenanceService for MaintenanceService {
    type SnapshotStream = SnapshotStream;

    /// The store raises its one alarm itself, when a write is refused for lack of space, and ends it once space is
    /// free again. Clients of etcd list and disarm alarms; none of them raises one.
    async fn alarm(
        &self,
        request: Request<PbAlarmRequest>,
    ) -> Result<Response<PbAlarmResponse>, Status> {
        let asked = request.into_inner();
        let header = self.core.header();
        let nospace = AlarmType::Nospace as i32;
        let is_ours = [0, header.member_id].contains(&asked.member_id);
        let is_about = asked.alarm == AlarmType::None as i32 || asked.alarm == nospace;
        let is_raised = match AlarmAction::try_from(asked.action) {
            Ok(AlarmAction::Get) => is_about && self.core.health().no_space,
            Ok(AlarmAction::Deactivate) => is_about && is_ours && self.core.disarm(),
            Ok(AlarmAction::Activate) | Err(_) => {
                return Err(unsupported(
                    "raises its alarm itself and takes none from clients",
                    "to keep writes out, stop the clients that write",
                ));
            }
        };
        let alarm = PbAlarmMember {
            member_id: header.member_id,
            alarm: nospace,
        };
        Ok(Response::new(PbAlarmResponse {
            header: Some(header),
            alarms: is_raised.then_some(alarm).into_iter().collect(),
        }))
    }

    async fn status(
        &self,
        _request: Request<PbStatusRequest>,
    ) -> Result<Response<PbStatusResponse>, Status> {
        let health = self.core.health();
        let header = self.core.header();
        let index = u64::try_from(health.revision).unwrap_or(0);
        let mut errors = Vec::new();
        if health.no_space {
            errors.push(format!("memberID:{} alarm:NOSPACE ", header.member_id));
        }
        if let Some(reason) = health.read_only {
            errors.push(format!("leasehold: nothing can be written: {reason}"));
        }
        Ok(Response::new(PbStatusResponse {
            version: API_VERSION.to_owned(),
            db_size: i64::try_from(health.bytes.0).unwrap_or(i64::MAX),
            db_size_in_use: i64::try_from(health.bytes.1).unwrap_or(i64::MAX),
            db_size_quota: i64::try_from(health.quota).unwrap_or(i64::MAX),
            leader: header.member_id,
            raft_index: index,
            raft_applied_index: index,
            raft_term: header.raft_term,
            errors,
            header: Some(header),
            ..PbStatusResponse::default()
        }))
    }

    /// Shortens the file. Writes wait meanwhile, as in etcd; reads, watches and renewals of leases go on.
    async fn defragment(
        &self,
        _request: Request<PbDefragmentRequest>,
    ) -> Result<Response<PbDefragmentResponse>, Status> {
        self.core.defragment().await?;
        // As etcd does: an empty answer.
        Ok(Response::new(PbDefragmentResponse::default()))
    }

    async fn hash(
        &self,
        _request: Request<PbHashRequest>,
    ) -> Result<Response<PbHashResponse>, Status> {
        let hash = self.core.hash(0)?;
        Ok(Response::new(PbHashResponse {
            header: Some(self.core.header()),
            hash: hash.hash,
        }))
    }

    async fn hash_kv(
        &self,
        request: Request<PbHashKvRequest>,
    ) -> Result<Response<PbHashKvResponse>, Status> {
        let hash = self.core.hash(request.get_ref().revision)?;
        Ok(Response::new(PbHashKvResponse {
            header: Some(self.core.header()),
            hash: hash.hash,
            compact_revision: hash.compacted,
            hash_revision: hash.revision,
        }))
    }

    /// etcd sends its own file. The store sends a backup of its own form, with etcd's checksum at the end.
    async fn snapshot(
        &self,
        _request: Request<PbSnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let taken = SystemTime::now().duration_since(UNIX_EPOCH);
        let taken_unix_ms = taken.map_or(0, |taken| taken.as_millis());
        let taken_unix_ms = u64::try_from(taken_unix_ms).unwrap_or(u64::MAX);
        Ok(Response::new(self.snapshots.start(taken_unix_ms)?))
    }

    async fn move_leader(
        &self,
        _request: Request<PbMoveLeaderRequest>,
    ) -> Result<Response<PbMoveLeaderResponse>, Status> {
        Err(unsupported(
            "has one member, which always leads",
            "the cluster has no other member",
        ))
    }

    async fn downgrade(
        &self,
        _request: Request<PbDowngradeRequest>,
    ) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(unsupported(
            "has no other version to go back to",
            "an etcd cannot read its data",
        ))
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::AlarmAction::{Activate, Deactivate, Get};
    use etcd_client::{AlarmType, Client, ConnectOptions, Error};

    use super::API_VERSION;
    use crate::core::StoreCore;
    use crate::options::StoreOptions;
    use crate::serve::tests::{in_process, on_tcp, server};
    use crate::serve::{Server, ServerLimits};

    #[tokio::test]
    async fn the_version_is_three_numbers_of_the_served_api() {
        let numbers: Vec<u32> = API_VERSION.split('.').map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers, [3, 5, 99]);
    }

    #[tokio::test]
    async fn the_one_member_leads_and_is_healthy() {
        let server = server(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        client.put("a", "1", None).await.unwrap();
        let status = client.status().await.unwrap();
        let header = status.header().unwrap();
        assert_eq!(status.leader(), header.member_id());
        assert_eq!((header.revision(), status.raft_index()), (2, 2));
        assert_eq!(status.raft_term(), header.raft_term());
        assert_eq!(status.errors(), [""; 0]);
        let alarms = client.alarm(Get, AlarmType::None, None);
        assert!(alarms.await.unwrap().alarms().is_empty());
        assert!(client.defragment().await.is_ok());
        assert_ne!(client.hash().await.unwrap().hash(), 0);
        server.close().await;
    }

    #[tokio::test]
    async fn the_alarm_is_raised_by_refusals_and_disarmed_by_clients() {
        let options = StoreOptions::memory().quota(100_000);
        let core = StoreCore::open(options).await.unwrap();
        let server = Server::with_limits(core, ServerLimits::default());
        let mut client = in_process(&server.connector()).await;
        let mut number = 0;
        let raise = async |client: &mut Client, number: &mut i32| {
            while client
                .put(number.to_string(), [7; 1000], None)
                .await
                .is_ok()
            {
                *number += 1;
            }
        };
        let list = async |client: &mut Client, action, about| {
            let alarms = client.alarm(action, about, None).await.unwrap();
            alarms.alarms().len()
        };
        assert_eq!(list(&mut client, Get, AlarmType::None).await, 0);
        raise(&mut client, &mut number).await;
        assert_eq!(list(&mut client, Get, AlarmType::None).await, 1);
        assert_eq!(list(&mut client, Get, AlarmType::Nospace).await, 1);
        assert_eq!(list(&mut client, Get, AlarmType::Corrupt).await, 0);
        assert_eq!(list(&mut client, Deactivate, AlarmType::Corrupt).await, 0);
        assert_eq!(list(&mut client, Deactivate, AlarmType::Nospace).await, 1);
        assert_eq!(list(&mut client, Get, AlarmType::None).await, 0);
        raise(&mut client, &mut number).await;
        assert_eq!(list(&mut client, Get, AlarmType::None).await, 1);
        for key in 0..number / 2 {
            client.delete(key.to_string(), None).await.unwrap();
        }
        // The history of the deleted keys is compacted for this write.
        client.put("more", [7; 1000], None).await.unwrap();
        assert_eq!(list(&mut client, Get, AlarmType::None).await, 0);
        for about in [AlarmType::Nospace, AlarmType::Corrupt] {
            let Err(Error::GRpcStatus(refused)) = client.alarm(Activate, about, None).await else {
                panic!("it was raised");
            };
            assert_eq!(refused.code(), tonic::Code::Unimplemented);
        }
        server.close().await;
    }

    #[tokio::test]
    async fn unsupported_methods_are_refused_with_a_reason() {
        let (server, address) = on_tcp(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        let mut refusals = Vec::new();
        let mut add = |error: Error| {
            let Error::GRpcStatus(status) = error else {
                panic!("{error}");
            };
            refusals.push(format!("{:?}: {}", status.code(), status.message()));
        };
        add(client.move_leader(1).await.unwrap_err());
        add(client
            .member_add(["http://127.0.0.1:1"], None)
            .await
            .unwrap_err());
        add(client.auth_enable().await.unwrap_err());
        let user = ConnectOptions::new().with_user("root", "secret");
        add(Client::connect([address], Some(user)).await.err().unwrap());
        insta::assert_snapshot!(refusals.join("\n"), @r#"
        Unimplemented: leasehold: the embedded store has one member, which always leads; the cluster has no other member
        Unimplemented: leasehold: the embedded store has one member and never more; a real etcd can be a cluster
        Unimplemented: leasehold: the embedded store has no users and no roles; only this machine reaches it, and a real etcd has both
        FailedPrecondition: etcdserver: authentication is not enabled
        "#);
        server.close().await;
    }
}
