//! The members of the cluster, of which there is one: etcd's `Cluster` service.
//!
//! It must never claim an address that nobody listens on: clients move to what is listed here.

use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest,
    PbMemberListResponse, PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest,
    PbMemberRemoveResponse, PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::api::unsupported;
use crate::core::Core;
use crate::serve::{Peer, Reach};

/// What the one member is called. It tells a person that this is no etcd.
const MEMBER_NAME: &str = "leasehold-embedded";

/// How the endpoint of a socket begins.
const SOCKET_SCHEME: &str = "unix://";

/// Where the store can be reached at the moment.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(Mutex<Vec<String>>);

impl Endpoints {
    pub(crate) fn add(&self, endpoint: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(endpoint.to_owned());
    }

    /// Endpoints that a client can use, by how it reached the store. A socket is private to its owner: a client that
    /// came over one can use all, any other only addresses.
    fn usable(&self, reach: Option<Reach>) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |endpoint: &&String| {
            reach != Some(Reach::Address) || !endpoint.starts_with(SOCKET_SCHEME)
        };
        all.iter().filter(usable).cloned().collect()
    }
}

/// The service.
pub(crate) struct ClusterService {
    core: Arc<Core>,
    endpoints: Arc<Endpoints>,
}

impl ClusterService {
    pub(crate) const fn new(core: Arc<Core>, endpoints: Arc<Endpoints>) -> Self {
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
        let reach = request.extensions().get::<Peer>().map(|peer| peer.reach);
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
