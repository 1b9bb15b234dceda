//! etcd's `Lease` service.
//!
//! It must never keep time: `core` decides how long a lease lasts.

use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse,
    PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse,
    PbLeaseService, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use futures_util::stream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::status::stopped;
use crate::core::StoreCore;

/// The service.
pub(crate) struct LeaseService {
    core: Arc<StoreCore>,
    cancel: CancellationToken,
}

impl LeaseService {
    pub(crate) const fn new(core: Arc<StoreCore>, cancel: CancellationToken) -> Self {
        Self { core, cancel }
    }
}

#[tonic::async_trait]
impl PbLeaseService for LeaseService {
    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<PbLeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let reply = self.core.lease_grant(request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let reply = self.core.lease_revoke(request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    /// A renewal is answered when its reply is read: a client that does not read cannot make the store hold replies.
    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let core = Arc::clone(&self.core);
        let renewals = Some((request.into_inner(), self.cancel.clone()));
        let replies = stream::unfold(renewals, move |renewals| {
            let core = Arc::clone(&core);
            async move {
                let (mut renewals, cancel) = renewals?;
                let renewal = tokio::select! {
                    renewal = renewals.next() => renewal?,
                    () = cancel.cancelled() => return Some((Err(stopped()), None)),
                };
                match renewal {
                    Ok(renewal) => {
                        let reply = core.lease_keep_alive(renewal.id);
                        Some((Ok(reply), Some((renewals, cancel))))
                    }
                    Err(broken) => Some((Err(broken), None)),
                }
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        let reply = self.core.lease_time_to_live(request.get_ref())?;
        Ok(Response::new(reply))
    }

    async fn lease_leases(
        &self,
        _request: Request<PbLeaseLeasesRequest>,
    ) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        Ok(Response::new(self.core.lease_leases()))
    }
}
