//! One server as raw gRPC: any message, well formed or not, goes out as it is, and the answer comes back as it is.
//!
//! No client library is used, because none sends the malformed requests of a careless client.

use std::time::Duration;

use anyhow::{Context, Result};
use etcd_client::proto::{PbWatchRequest, PbWatchResponse};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// For one answer. A server that takes longer on a busy machine hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to one server.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    grpc: Grpc<Channel>,
}

impl Wire {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(endpoint.to_owned())?
            .connect()
            .await
            .with_context(|| format!("connecting to {endpoint}"))?;
        let grpc = Grpc::new(channel)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        Ok(Self { grpc })
    }

    /// One request, one answer. `method` is such as `KV/Range`.
    pub(super) async fn ask<Q, A>(&self, method: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc.clone();
        let asked = async {
            ready(&mut grpc).await?;
            let codec = ProstCodec::<Q, A>::default();
            grpc.unary(Request::new(request), path(method)?, codec)
                .await
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer
            .map_err(|_| Status::deadline_exceeded(format!("no answer to {method}")))?
            .map(tonic::Response::into_inner)
    }

    /// One request on a stream of its own, and the first answer to it.
    pub(super) async fn ask_stream<Q, A>(
        &self,
        method: &'static str,
        request: Q,
    ) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc.clone();
        let asked = async {
            ready(&mut grpc).await?;
            let codec = ProstCodec::<Q, A>::default();
            // Its sender lives until the answer is there: a closed stream need not be answered.
            let (sender, receiver) = mpsc::channel(1);
            sender
                .send(request)
                .await
                .map_err(|_| Status::internal("our own end is closed"))?;
            let requests = Request::new(ReceiverStream::new(receiver));
            let mut answers = grpc
                .streaming(requests, path(method)?, codec)
                .await?
                .into_inner();
            let answer = answers.message().await?;
            answer.ok_or_else(|| Status::internal("the stream ended without an answer"))
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| Status::deadline_exceeded(format!("no answer to {method}")))?
    }

    /// Opens a stream of watches.
    pub(crate) fn watches(&self) -> Watches {
        let (requests, receiver) = mpsc::channel(16);
        let (said, heard) = watch::channel(Heard::default());
        let mut grpc = self.grpc.clone();
        let task = tokio::spawn(async move {
            let read = async {
                ready(&mut grpc).await?;
                let codec = ProstCodec::<PbWatchRequest, PbWatchResponse>::default();
                let requests = Request::new(ReceiverStream::new(receiver));
                let method = path("Watch/Watch")?;
                // A server may answer the stream itself only together with the first response.
                let mut answers = grpc.streaming(requests, method, codec).await?.into_inner();
                while let Some(response) = answers.message().await? {
                    said.send_modify(|heard| heard.responses.push(response));
                }
                Ok::<_, Status>(())
            };
            let end = match read.await {
                Ok(()) => "the server ended the stream".to_owned(),
                Err(status) => format!("{:?}: {}", status.code(), status.message()),
            };
            said.send_modify(|heard| heard.end = Some(end));
        });
        Watches {
            requests,
            heard,
            task,
        }
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(format!("the connection is gone: {error}")))
}

fn path(method: &str) -> Result<PathAndQuery, Status> {
    PathAndQuery::try_from(format!("/etcdserverpb.{method}"))
        .map_err(|error| Status::internal(format!("{method} is no method: {error}")))
}

/// Everything that came over a stream of watches so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) responses: Vec<PbWatchResponse>,
    /// Reason of the stream's end.
    pub(crate) end: Option<String>,
}

/// A stream of watches. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Watches {
    requests: mpsc::Sender<PbWatchRequest>,
    heard: watch::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Watches {
    pub(crate) async fn send(&self, request: PbWatchRequest) -> Result<()> {
        let sent = self.requests.send(request).await;
        sent.map_err(|_| anyhow::anyhow!("the stream of watches is closed: {:?}", self.end()))
    }

    /// Waits until enough was received; false when the time is up first.
    pub(crate) async fn wait(&mut self, enough: impl Fn(&[PbWatchResponse]) -> bool) -> bool {
        let wait = self
            .heard
            .wait_for(|heard| heard.end.is_some() || enough(&heard.responses));
        let came = tokio::time::timeout(PATIENCE, wait).await;
        came.is_ok_and(|heard| heard.is_ok_and(|heard| enough(&heard.responses)))
    }

    /// Copy of the responses so far.
    pub(crate) fn heard<T>(&self, look: impl FnOnce(&[PbWatchResponse]) -> T) -> T {
        look(&self.heard.borrow().responses)
    }

    pub(crate) fn end(&self) -> Option<String> {
        self.heard.borrow().end.clone()
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.task.abort();
    }
}
