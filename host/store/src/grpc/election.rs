//! Elections for clients that have no library for them: the `v3election` service.
//!
//! Written by hand: `etcd-client` generates its messages without a server. It must never let a client act for a
//! leadership other than the one it won: key and create revision together.

use std::sync::Arc;

use etcd_client::proto::{
    PbCampaignResponse, PbLeaderKey, PbLeaderResponse, PbProclaimResponse, PbPutRequest,
    PbResignResponse,
};
use futures_util::stream;
use http::{Request, Response};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

use super::context::ServiceContext;
use super::status::stopped;
use super::{manual_service, queue};
use crate::core::StoreCore;
use crate::error::StoreError;
use crate::key_range::KeyRange;
use crate::watch::WatchSubscription;

/// The service.
#[derive(Clone)]
pub(crate) struct ElectionServer {
    context: ServiceContext,
}

/// `v3electionpb.CampaignRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct CampaignRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(int64, tag = "2")]
    lease: i64,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
}

/// `v3electionpb.ProclaimRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct ProclaimRequest {
    #[prost(message, optional, tag = "1")]
    leader: Option<PbLeaderKey>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `v3electionpb.LeaderRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct LeaderRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
}

/// `v3electionpb.ResignRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct ResignRequest {
    #[prost(message, optional, tag = "1")]
    leader: Option<PbLeaderKey>,
}

impl ElectionServer {
    pub(crate) fn new(context: &ServiceContext) -> Self {
        Self {
            context: context.clone(),
        }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            "/v3electionpb.Election/Campaign" => {
                manual_service::unary(request, |r| self.campaign(r)).await
            }
            "/v3electionpb.Election/Proclaim" => {
                manual_service::unary(request, |r| self.proclaim(r)).await
            }
            "/v3electionpb.Election/Resign" => {
                manual_service::unary(request, |r| self.resign(r)).await
            }
            "/v3electionpb.Election/Leader" => {
                manual_service::unary(request, |asked: LeaderRequest| {
                    std::future::ready(
                        leader(&self.context.core, &asked.name).map_err(Status::from),
                    )
                })
                .await
            }
            "/v3electionpb.Election/Observe" => {
                manual_service::server_streaming(request, |asked: LeaderRequest| {
                    observe(&self.context, asked.name)
                })
                .await
            }
            _ => manual_service::refuse(Status::unimplemented("")),
        }
    }

    async fn campaign(&self, asked: CampaignRequest) -> Result<PbCampaignResponse, Status> {
        let CampaignRequest { name, lease, value } = asked;
        let proclaimed = value.clone();
        let entry = queue::enter_and_wait(
            &self.context,
            name.clone(),
            lease,
            value,
            move |core, entered| proclaim_in_queue(core, entered, proclaimed),
        )
        .await?;
        Ok(PbCampaignResponse {
            header: Some(self.context.core.header()),
            leader: Some(PbLeaderKey {
                name,
                key: entry.key,
                rev: entry.create_revision,
                lease: entry.lease,
            }),
        })
    }

    async fn proclaim(&self, asked: ProclaimRequest) -> Result<PbProclaimResponse, Status> {
        let leader = require_leader(asked.leader)?;
        let put = PbPutRequest {
            key: leader.key,
            value: asked.value,
            lease: leader.lease,
            ..PbPutRequest::default()
        };
        let reply = queue::replace(&self.context.core, put, leader.rev).await?;
        if !reply.succeeded {
            return Err(not_leader());
        }
        Ok(PbProclaimResponse {
            header: reply.header,
        })
    }

    /// Resigning from a leadership that has ended succeeds.
    async fn resign(&self, asked: ResignRequest) -> Result<PbResignResponse, Status> {
        let leader = require_leader(asked.leader)?;
        let reply = queue::remove(&self.context.core, &leader.key, leader.rev).await?;
        Ok(PbResignResponse {
            header: reply.header,
        })
    }
}

/// A candidate that campaigns again with the same lease keeps its place, with the new value.
async fn proclaim_in_queue(
    core: Arc<StoreCore>,
    entered: queue::EnteredQueue,
    value: Vec<u8>,
) -> Result<queue::QueueEntry, Status> {
    let queue::EnteredQueue {
        entry,
        previous_value,
    } = entered;
    if previous_value.is_some_and(|previous_value| previous_value != value) {
        let put = PbPutRequest {
            key: entry.key.clone(),
            value,
            lease: entry.lease,
            ..PbPutRequest::default()
        };
        if !queue::replace(&core, put, entry.create_revision)
            .await?
            .succeeded
        {
            return Err(not_leader());
        }
        return Ok(entry.rewritten());
    }
    Ok(entry)
}

fn leader(core: &StoreCore, name: &[u8]) -> Result<PbLeaderResponse, StoreError> {
    let reply = queue::oldest(core, name)?;
    let kv = reply.kvs.into_iter().next();
    Ok(PbLeaderResponse {
        header: reply.header,
        kv: Some(kv.ok_or(StoreError::NoLeader)?),
    })
}

/// An observer of an election. It wakes for changes of all its keys, and sends the leader when another one leads or
/// the leader's value changed. Values that were replaced before they could be sent are left out, as with Go's
/// client.
struct Observer {
    core: Arc<StoreCore>,
    cancel: CancellationToken,
    name: Vec<u8>,
    changes: WatchSubscription,
    last_sent: i64,
}

fn observe(
    context: &ServiceContext,
    name: Vec<u8>,
) -> impl Stream<Item = Result<PbLeaderResponse, Status>> + Send + use<> {
    let changes = context.core.watchers().subscribe();
    let (first, end) = queue::range_of(&queue::prefix_of(&name));
    changes.add(KeyRange::new(&first, &end));
    let observer = Observer {
        core: Arc::clone(&context.core),
        cancel: context.cancel.clone(),
        name,
        changes,
        last_sent: 0,
    };
    stream::unfold(Some(observer), async |observer| {
        let mut observer = observer?;
        match observer.next().await {
            Ok(leader) => Some((Ok(leader), Some(observer))),
            Err(status) => Some((Err(status), None)),
        }
    })
}

impl Observer {
    async fn next(&mut self) -> Result<PbLeaderResponse, Status> {
        loop {
            match leader(&self.core, &self.name) {
                Ok(leader) => {
                    let proclaimed_at = leader.kv.as_ref().map_or(0, |kv| kv.mod_revision);
                    // A successor's value may be older than the last value of the leader before it: different is
                    // enough.
                    if proclaimed_at != self.last_sent {
                        self.last_sent = proclaimed_at;
                        return Ok(leader);
                    }
                }
                Err(StoreError::NoLeader) => {}
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                () = self.cancel.cancelled() => return Err(stopped()),
            }
        }
    }
}

fn require_leader(leader: Option<PbLeaderKey>) -> Result<PbLeaderKey, Status> {
    leader.ok_or_else(|| Status::invalid_argument("\"leader\" field must be provided"))
}

fn not_leader() -> Status {
    Status::unknown("election: not leader")
}

manual_service::serve_by_hand!(ElectionServer, "v3electionpb.Election");

#[cfg(test)]
mod tests;
