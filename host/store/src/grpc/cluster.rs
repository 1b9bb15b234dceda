//! etcd's `Cluster` service: the cluster has one member.
//!
//! It must never list an address without a listener: clients move to the addresses listed here.

use std::sync::Arc;

use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest,
    PbMemberListResponse, PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest,
    PbMemberRemoveResponse, PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::endpoints::EndpointList;
use super::status::unsupported;
use crate::core::StoreCore;
use crate::peer::ClientPeer;

/// The name of the one member. It shows a reader that the server is not an etcd.
const MEMBER_NAME: &str = "leasehold-embedded";

/// The service.
pub(crate) struct ClusterService {
    core: Arc<StoreCore>,
    endpoints: Arc<EndpointList>,
}

impl ClusterService {
    pub(crate) const fn new(core: Arc<StoreCore>, endpoints: Arc<EndpointList>) -> Self {
        Self { core, endpoints }
    }
}

fn one_member() -> Status {
    unsupported(
        "has one member and never more",
        "a real etcd can be a cluster",
    )
}

#[tonic::async_trait]
impl PbClusterService for ClusterService {
    async fn member_list(
        &self,
        request: Request<PbMemberListRequest>,
    ) -> Result<Response<PbMemberListResponse>, Status> {
        let reach = request
            .extensions()
            .get::<ClientPeer>()
            .map(|peer| peer.reach);
        let header = self.core.header();
        let member = PbMember {
            id: header.member_id,
            name: MEMBER_NAME.to_owned(),
            client_ur_ls: self.endpoints.usable(reach),
            ..PbMember::default()
        };
        Ok(Response::new(PbMemberListResponse {
            header: Some(header),
            members: vec![member],
        }))
    }

    async fn member_add(
        &self,
        _request: Request<PbMemberAddRequest>,
    ) -> Result<Response<PbMemberAddResponse>, Status> {
        Err(one_member())
    }

    async fn member_remove(
        &self,
        _request: Request<PbMemberRemoveRequest>,
    ) -> Result<Response<PbMemberRemoveResponse>, Status> {
        Err(one_member())
    }

    async fn member_update(
        &self,
        _request: Request<PbMemberUpdateRequest>,
    ) -> Result<Response<PbMemberUpdateResponse>, Status> {
        Err(one_member())
    }

    async fn member_promote(
        &self,
        _request: Request<PbMemberPromoteRequest>,
    ) -> Result<Response<PbMemberPromoteResponse>, Status> {
        Err(one_member())
    }
}
