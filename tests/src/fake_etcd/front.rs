//! Way of a request through a fake etcd: counted, failed or passed to the store behind it, its reply changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbLeaseGrantRequest, PbLeaseGrantResponse,
    PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse,
    PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse, PbPutRequest, PbPutResponse,
    PbRangeRequest, PbRangeResponse, PbTxnRequest, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, future, stream};
use http::uri::PathAndQuery;
use http::{Request, Response, header};
use http_body_util::Full;
use leasehold_lock::StoreService;
use prost::Message;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use super::Shared;
use super::reply::Reply;
use super::script::{Fault, HOSTILE_WORDS, Method, Quirk};

/// Replies of one stream that may be delayed at one time.
const DELAYED: usize = 1024;

/// Frame of four bytes that are no message.
const MALFORMED: &[u8] = &[0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff];

/// Begin of a frame of 1 GiB.
const OVERSIZED: &[u8] = &[0, 0x40, 0, 0, 0, 0, 0, 0, 0];

/// Replies of one stream.
type Replies<R> = BoxStream<'static, Result<R, Status>>;

/// The store behind a fake, with the error type that gRPC clients take.
pub(super) type Behind = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// Adapts a store's service to gRPC clients.
pub(super) fn behind(store: StoreService) -> Behind {
    let status = |error: BoxError| Status::internal(error.to_string());
    BoxCloneSyncService::new(store.map_err(status))
}

/// The server's service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) store: Behind,
    pub(super) shared: Arc<Shared>,
}

impl tower::Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

impl Front {
    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match Method::of(request.uri().path()) {
            Some(method) => self.scripted(method, request).await,
            None => match self.store.clone().oneshot(request).await {
                Ok(response) => response,
                Err(status) => status.into_http(),
            },
        }
    }

    async fn scripted(self, method: Method, request: Request<Body>) -> Response<Body> {
        match method {
            Method::Renew | Method::Watch => self.shared.count_stream(method),
            _ => self.shared.count_request(method),
        }
        match self.shared.spoken_fault(method).await {
            Some(Fault::Malformed) => return raw(MALFORMED),
            Some(Fault::Oversized) => return raw(OVERSIZED),
            Some(Fault::Hostile) => return refused(HOSTILE_WORDS).into_http(),
            Some(_) => return unavailable().into_http(),
            None => {}
        }
        match method {
            Method::Range => {
                self.one::<PbRangeRequest, PbRangeResponse>(method, request)
                    .await
            }
            Method::Put => {
                self.one::<PbPutRequest, PbPutResponse>(method, request)
                    .await
            }
            Method::DeleteRange => {
                self.one::<PbDeleteRequest, PbDeleteResponse>(method, request)
                    .await
            }
            Method::Txn if self.shared.script.borrow().has(Quirk::RefuseTransactions) => {
                self.refuse(request).await
            }
            Method::Txn => {
                self.one::<PbTxnRequest, PbTxnResponse>(method, request)
                    .await
            }
            Method::Grant => {
                self.one::<PbLeaseGrantRequest, PbLeaseGrantResponse>(method, request)
                    .await
            }
            Method::Revoke => {
                self.one::<PbLeaseRevokeRequest, PbLeaseRevokeResponse>(method, request)
                    .await
            }
            Method::TimeToLive => {
                self.one::<PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse>(method, request)
                    .await
            }
            Method::Renew => {
                self.many::<PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse>(
                    method,
                    request,
                    |_| true,
                )
                .await
            }
            Method::Watch => {
                let shared = Arc::clone(&self.shared);
                let passes = move |request: &PbWatchRequest| match request.request_union {
                    Some(PbWatchRequestUnion::ProgressRequest(_)) => {
                        !shared.script.borrow().has(Quirk::IgnoreProgress)
                    }
                    _ => true,
                };
                self.many::<PbWatchRequest, PbWatchResponse>(method, request, passes)
                    .await
            }
        }
    }

    /// Passes one request on and its reply back.
    async fn one<M, R>(self, method: Method, request: Request<Body>) -> Response<Body>
    where
        M: Message + Default + 'static,
        R: Reply,
    {
        let (front, path) = (self, path_of(&request));
        let service = tower::service_fn(move |request: tonic::Request<M>| {
            let (front, path) = (front.clone(), path.clone());
            async move {
                let reply: R = ask(front.store.clone(), path, request.into_inner()).await?;
                sleep(front.shared.next_delay(method)).await;
                let edited = reply.edit(&front.shared.script.borrow());
                edited
                    .map(tonic::Response::new)
                    .ok_or_else(|| Status::internal("the script keeps this reply"))
            }
        });
        let codec = ProstCodec::<R, M>::default();
        tonic::server::Grpc::new(codec)
            .unary(service, request)
            .await
    }

    /// Answers a transaction as one whose condition failed.
    async fn refuse(self, request: Request<Body>) -> Response<Body> {
        let header = ask::<_, PbRangeResponse>(
            self.store.clone(),
            PathAndQuery::from_static("/etcdserverpb.KV/Range"),
            PbRangeRequest {
                key: b"/".to_vec(),
                ..PbRangeRequest::default()
            },
        );
        let header = header.await.ok().and_then(|reply| reply.header);
        let service = tower::service_fn(move |_: tonic::Request<PbTxnRequest>| {
            let refusal = PbTxnResponse {
                header,
                ..PbTxnResponse::default()
            };
            future::ok(tonic::Response::new(refusal))
        });
        let codec = ProstCodec::<PbTxnResponse, PbTxnRequest>::default();
        tonic::server::Grpc::new(codec)
            .unary(service, request)
            .await
    }

    /// Passes a stream on and its replies back. Requests for which `passes` is false are dropped.
    async fn many<M, R>(
        self,
        method: Method,
        request: Request<Body>,
        passes: impl Fn(&M) -> bool + Clone + Send + 'static,
    ) -> Response<Body>
    where
        M: Message + Default + 'static,
        R: Reply,
    {
        let (front, path) = (self, path_of(&request));
        let service = tower::service_fn(move |request: tonic::Request<Streaming<M>>| {
            let (front, path, passes) = (front.clone(), path.clone(), passes.clone());
            async move {
                let shared = Arc::clone(&front.shared);
                let requests = request.into_inner().filter_map(move |message| {
                    let kept = message.ok().filter(&passes);
                    if kept.is_some() {
                        shared.count_request(method);
                    }
                    future::ready(kept)
                });
                let mut grpc = tonic::client::Grpc::new(front.store.clone());
                grpc.ready().await?;
                let codec = ProstCodec::<M, R>::default();
                let replies = grpc
                    .streaming(tonic::Request::new(requests), path, codec)
                    .await?;
                let replies = front.changed(method, replies.into_inner());
                Ok::<_, Status>(tonic::Response::new(replies))
            }
        });
        let codec = ProstCodec::<R, M>::default();
        tonic::server::Grpc::new(codec)
            .streaming(service, request)
            .await
    }

    /// Replies of a stream as the script has them.
    fn changed<R: Reply>(&self, method: Method, replies: Streaming<R>) -> Replies<R> {
        let shared = Arc::clone(&self.shared);
        let delayed = replies
            .map(move |reply| {
                let delay = shared.next_delay(method);
                async move {
                    sleep(delay).await;
                    reply
                }
            })
            .buffered(DELAYED);
        let shared = Arc::clone(&self.shared);
        let edited = delayed.flat_map(move |reply| {
            let script = shared.script.borrow();
            stream::iter(match reply {
                Ok(reply) => {
                    let edited = reply.edit(&script);
                    edited.map_or_else(Vec::new, |reply| vec![Ok(reply); R::copies(&script)])
                }
                Err(status) => vec![Err(status)],
            })
        });
        let shared = Arc::clone(&self.shared);
        let open = Some(edited.boxed());
        stream::unfold(open, move |open| {
            obeyed(Arc::clone(&shared), method, open).boxed()
        })
        .boxed()
    }
}

/// The next reply of an open stream: held while the script is silent, the end at every other fault.
async fn obeyed<R>(
    shared: Arc<Shared>,
    method: Method,
    open: Option<Replies<R>>,
) -> Option<(Result<R, Status>, Option<Replies<R>>)> {
    let mut replies = open?;
    let mut script = shared.script.subscribe();
    loop {
        if shared.spoken_fault(method).await.is_some() {
            return Some((Err(unavailable()), None));
        }
        tokio::select! {
            biased;
            _ = script.changed() => {}
            reply = replies.next() => return Some((reply?, Some(replies))),
        }
    }
}

/// Asks the store behind the fake.
async fn ask<M, R>(store: Behind, path: PathAndQuery, message: M) -> Result<R, Status>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    let mut grpc = tonic::client::Grpc::new(store).max_decoding_message_size(usize::MAX);
    grpc.ready().await?;
    let codec = ProstCodec::<M, R>::default();
    let reply = grpc
        .unary(tonic::Request::new(message), path, codec)
        .await?;
    Ok(reply.into_inner())
}

fn path_of(request: &Request<Body>) -> PathAndQuery {
    let path = request.uri().path_and_query().cloned();
    path.unwrap_or(PathAndQuery::from_static("/"))
}

fn refused(words: &str) -> Status {
    Status::invalid_argument(words)
}

fn unavailable() -> Status {
    Status::unavailable("etcdserver: no leader")
}

fn raw(frame: &'static [u8]) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(frame)));
    let grpc = header::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}
