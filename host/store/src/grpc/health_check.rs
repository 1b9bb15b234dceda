//! The health service of gRPC: `grpc.health.v1.Health`.
//!
//! The store serves unless its disk has failed: then writes are refused. A full store still serves, as in etcd.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{Request, Response};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

use super::manual_service;
use super::status::stopped;
use crate::core::StoreCore;

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

impl From<ServingStatus> for HealthCheckResponse {
    fn from(status: ServingStatus) -> Self {
        Self {
            status: status.into(),
        }
    }
}

/// The service.
#[derive(Clone)]
pub(crate) struct HealthServer {
    core: Arc<StoreCore>,
    cancel: CancellationToken,
}

impl HealthServer {
    pub(crate) const fn new(core: Arc<StoreCore>, cancel: CancellationToken) -> Self {
        Self { core, cancel }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            "/grpc.health.v1.Health/Check" => {
                manual_service::unary(request, |asked: HealthCheckRequest| {
                    std::future::ready(self.check(&asked.service))
                })
                .await
            }
            "/grpc.health.v1.Health/Watch" => {
                manual_service::server_streaming(request, |asked: HealthCheckRequest| {
                    self.watch(&asked.service)
                })
                .await
            }
            _ => manual_service::refuse(Status::unimplemented("")),
        }
    }

    fn check(&self, service: &str) -> Result<HealthCheckResponse, Status> {
        if is_known(service) {
            let changes = self.core.read_only_changes();
            Ok(serving(changes.borrow().as_deref()).into())
        } else {
            // The words of Go's server.
            Err(Status::not_found("unknown service"))
        }
    }

    /// Sends the status, and again whenever it changes. An unknown service may be added later in general, so its
    /// stream stays open, as the protocol demands.
    fn watch(&self, service: &str) -> BoxStream<'static, Result<HealthCheckResponse, Status>> {
        let cancel = self.cancel.clone();
        if !is_known(service) {
            let unknown = HealthCheckResponse::from(ServingStatus::ServiceUnknown);
            let end = async move {
                cancel.cancelled().await;
                Err(stopped())
            };
            let first = stream::once(std::future::ready(Ok(unknown)));
            return first.chain(stream::once(end)).boxed();
        }
        let mut changes = self.core.read_only_changes();
        changes.mark_changed();
        let start = Some((changes, cancel, None));
        stream::unfold(start, async |state| {
            let (mut changes, cancel, sent) = state?;
            tokio::select! {
                biased;
                () = cancel.cancelled() => Some((Err(stopped()), None)),
                next = next_status(&mut changes, sent) => {
                    let next = next?;
                    Some((Ok(next.into()), Some((changes, cancel, Some(next)))))
                }
            }
        })
        .boxed()
    }
}

/// Waits for a status that differs from the one sent. Returns `None` once the store is dropped.
async fn next_status(
    changes: &mut watch::Receiver<Option<String>>,
    sent: Option<ServingStatus>,
) -> Option<ServingStatus> {
    loop {
        changes.changed().await.ok()?;
        let now = serving(changes.borrow_and_update().as_deref());
        if Some(now) != sent {
            return Some(now);
        }
    }
}

/// The empty name is the server as a whole. etcd knows no other one.
const fn is_known(service: &str) -> bool {
    service.is_empty()
}

const fn serving(read_only: Option<&str>) -> ServingStatus {
    match read_only {
        None => ServingStatus::Serving,
        Some(_) => ServingStatus::NotServing,
    }
}

manual_service::serve_by_hand!(HealthServer, "grpc.health.v1.Health");

#[cfg(test)]
mod tests;
