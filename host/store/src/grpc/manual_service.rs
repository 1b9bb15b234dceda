//! Transport for services written by hand: those that `etcd-client` generates no server for.
//!
//! It must never depend on the meaning of a request.

use std::future::Future;

use futures_util::StreamExt as _;
use http::{Request, Response};
use prost::Message;
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;

use super::faults::catch_panics;
use super::limits::MAX_MESSAGE_BYTES;
use crate::budget;

fn grpc<M, R>() -> Grpc<ProstCodec<R, M>>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
{
    Grpc::new(ProstCodec::default())
        .apply_max_message_size_config(Some(MAX_MESSAGE_BYTES), Some(usize::MAX))
}

/// Answers one request with one reply.
pub(crate) async fn unary<M, R, F, Fut>(request: Request<Body>, mut answer: F) -> Response<Body>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
    F: FnMut(M) -> Fut,
    Fut: Future<Output = Result<R, Status>>,
{
    let service = tower::service_fn(move |request: tonic::Request<M>| {
        let answering = answer(request.into_inner());
        async move { answering.await.map(tonic::Response::new) }
    });
    grpc::<M, R>().unary(service, request).await
}

/// Answers one request with a stream of replies.
pub(crate) async fn server_streaming<M, R, F, S>(
    request: Request<Body>,
    mut answer: F,
) -> Response<Body>
where
    M: Message + Default + 'static,
    R: Message + Default + 'static,
    F: FnMut(M) -> S,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
{
    let ticket = budget::current_ticket();
    let service = tower::service_fn(move |request: tonic::Request<M>| {
        let ticket = ticket.clone();
        let answers = answer(request.into_inner()).map(move |answer| {
            if let Some(ticket) = &ticket {
                ticket.check_may_answer()?;
            }
            answer
        });
        let answers = catch_panics(answers);
        std::future::ready(Ok(tonic::Response::new(answers)))
    });
    grpc::<M, R>().server_streaming(service, request).await
}

/// Returns the reply to a request that no method answers.
pub(crate) fn refuse(status: Status) -> Response<Body> {
    status.into_http()
}

/// Implements a service for a type: its name, and the method that answers.
macro_rules! serve_by_hand {
    ($server:ty, $name:literal) => {
        impl tonic::server::NamedService for $server {
            const NAME: &'static str = $name;
        }

        impl tower::Service<http::Request<tonic::body::Body>> for $server {
            type Response = http::Response<tonic::body::Body>;
            type Error = std::convert::Infallible;
            type Future =
                futures_util::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
                let server = self.clone();
                Box::pin(async move { Ok(server.answer(request).await) })
            }
        }
    };
}

pub(crate) use serve_by_hand;
