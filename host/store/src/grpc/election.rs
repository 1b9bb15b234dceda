//! Elections for clients that have no library for them: the `v3election` service.
//!
//! Written by hand: `etcd-client` generates its messages without a server. It must never let anybody speak
//! for a leadership other than the one that was won: key and create revision together.

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

use super::context::Context;
use super::status::stopped;
use super::{manual_service, queue};
use crate::core::Core;
use crate::error::StoreError;
use crate::key_range::KeyRange;
use crate::watch::Subscription;

/// The service.
#[derive(Clone)]
pub(crate) struct ElectionServer {
    context: Context,
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
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
        }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            "/v3electionpb.Election/Campaign" => {
                manual_service::one(request, |r| self.campaign(r)).await
            }
            "/v3electionpb.Election/Proclaim" => {
                manual_service::one(request, |r| self.proclaim(r)).await
            }
            "/v3electionpb.Election/Resign" => {
                manual_service::one(request, |r| self.resign(r)).await
            }
            "/v3electionpb.Election/Leader" => {
                manual_service::one(request, |asked: LeaderRequest| {
                    std::future::ready(
                        leader(&self.context.core, &asked.name).map_err(Status::from),
                    )
                })
                .await
            }
            "/v3electionpb.Election/Observe" => {
                manual_service::many(request, |asked: LeaderRequest| {
                    observe(&self.context, asked.name)
                })
                .await
            }
            _ => manual_service::none(Status::unimplemented("")),
        }
    }

    async fn campaign(&self, asked: CampaignRequest) -> Result<PbCampaignResponse, Status> {
        let CampaignRequest { name, lease, value } = asked;
        let proclaimed = value.clone();
        let entry = queue::stand(
            &self.context,
            name.clone(),
            lease,
            value,
            move |core, entered| stand_for(core, entered, proclaimed),
        )
        .await?;
        Ok(PbCampaignResponse {
            header: Some(self.context.core.header()),
            leader: Some(PbLeaderKey {
                name,
                key: entry.key,
                rev: entry.create,
                lease: entry.lease,
            }),
        })
    }

    async fn proclaim(&self, asked: ProclaimRequest) -> Result<PbProclaimResponse, Status> {
        let leader = named(asked.leader)?;
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

    /// A leadership that is over already is given up successfully.
    async fn resign(&self, asked: ResignRequest) -> Result<PbResignResponse, Status> {
        let leader = named(asked.leader)?;
        let reply = queue::remove(&self.context.core, &leader.key, leader.rev).await?;
        Ok(PbResignResponse {
            header: reply.header,
        })
    }
}

/// Who campaigns again with the same lease stands where they stood, with the new value.
async fn stand_for(
    core: Arc<Core>,
    entered: queue::Entered,
    value: Vec<u8>,
) -> Result<queue::Entry, Status> {
    let queue::Entered { entry, found } = entered;
    if found.is_some_and(|found| found != value) {
        let put = PbPutRequest {
            key: entry.key.clone(),
            value,
            lease: entry.lease,
            ..PbPutRequest::default()
        };
        if !queue::replace(&core, put, entry.create).await?.succeeded {
            return Err(not_leader());
        }
        return Ok(entry.rewritten());
    }
    Ok(entry)
}

fn leader(core: &Core, name: &[u8]) -> Result<PbLeaderResponse, StoreError> {
    let reply = queue::oldest(core, name)?;
    let kv = reply.kvs.into_iter().next();
    Ok(PbLeaderResponse {
        header: reply.header,
        kv: Some(kv.ok_or(StoreError::NoLeader)?),
    })
}

/// Who observes an election: woken for all of its keys, told of the leader when it is another, or says
/// another thing. Values that were replaced before they could be sent are left out, as with Go's client.
struct Observer {
    core: Arc<Core>,
    cancel: CancellationToken,
    name: Vec<u8>,
    changes: Subscription,
    told: i64,
}

fn observe(
    context: &Context,
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
        told: 0,
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
                    let says_since = leader.kv.as_ref().map_or(0, |kv| kv.mod_revision);
                    // A successor may have spoken before the leader that it succeeds: different is enough.
                    if says_since != self.told {
                        self.told = says_since;
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

fn named(leader: Option<PbLeaderKey>) -> Result<PbLeaderKey, Status> {
    leader.ok_or_else(|| Status::invalid_argument("\"leader\" field must be provided"))
}

fn not_leader() -> Status {
    Status::unknown("election: not leader")
}

manual_service::hand_written!(ElectionServer, "v3electionpb.Election");

#[cfg(test)]
mod tests;
