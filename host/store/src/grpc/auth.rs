//! etcd's `Auth` service, as it answers with authentication off: the store has no users and no roles.
//!
//! Written by hand: `etcd-client` does not export every message that the generated trait names. Nothing here may let
//! a client believe that it has logged in, or that anything is protected.

use std::sync::Arc;

use etcd_client::proto::{PbAuthenticateRequest, PbAuthenticateResponse, PbResponseHeader};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::manual_service;
use super::status::unsupported;
use crate::core::StoreCore;

/// The service.
#[derive(Clone)]
pub(crate) struct AuthServer {
    core: Arc<StoreCore>,
}

/// `etcdserverpb.AuthStatusRequest`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct AuthStatusRequest {}

/// `etcdserverpb.AuthStatusResponse`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct AuthStatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<PbResponseHeader>,
    #[prost(bool, tag = "2")]
    enabled: bool,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

impl AuthServer {
    pub(crate) const fn new(core: Arc<StoreCore>) -> Self {
        Self { core }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            "/etcdserverpb.Auth/AuthStatus" => {
                manual_service::unary(request, |_: AuthStatusRequest| {
                    let reply = AuthStatusResponse {
                        header: Some(self.core.header()),
                        enabled: false,
                        // etcd's own value before any change to users.
                        auth_revision: 1,
                    };
                    std::future::ready(Ok(reply))
                })
                .await
            }
            "/etcdserverpb.Auth/Authenticate" => {
                manual_service::unary(request, |_: PbAuthenticateRequest| {
                    std::future::ready(Err::<PbAuthenticateResponse, _>(
                        Status::failed_precondition("etcdserver: authentication is not enabled"),
                    ))
                })
                .await
            }
            _ => manual_service::refuse(unsupported(
                "has no users and no roles",
                "only this machine reaches it, and a real etcd has both",
            )),
        }
    }
}

manual_service::serve_by_hand!(AuthServer, "etcdserverpb.Auth");
