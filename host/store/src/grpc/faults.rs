//! Failures outside of any service: a bug that panics, a message that is too large, a method that does not exist.
//! Each becomes an answer to that one request.
//!
//! Nothing here may inspect a request, nor change an answer that a service gave in its own words.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, Stream, StreamExt};
use http::{HeaderMap, Request, Uri};
use tonic::body::Body;
use tonic::{Code, Status};

use super::layer::{AnswerFuture, InnerService, RequestLayer};

/// Keeps a panic or a refusal by the transport within its own request.
#[derive(Clone, Copy)]
pub(crate) struct FaultLayer;

impl RequestLayer for FaultLayer {
    fn call<S: InnerService>(&self, inner: &mut S, request: Request<Body>) -> AnswerFuture {
        let mut inner = inner.clone();
        let uri = request.uri().clone();
        Box::pin(async move {
            let answering = AssertUnwindSafe(async move { inner.call(request).await });
            let Ok(answer) = answering.catch_unwind().await else {
                tracing::error!(method = uri.path(), "a request made the store panic");
                return Ok(panicked(&uri).into_http());
            };
            let Ok(mut answer) = answer;
            if let Some(instead) = plainer(answer.headers(), &uri) {
                answer = instead.into_http();
            }
            Ok(answer)
        })
    }
}

/// A stream that a panic ends as an error would. A client in this process polls the stream on its own task, which
/// must not panic with it.
pub(super) fn catch_panics<T>(
    answers: impl Stream<Item = Result<T, Status>>,
) -> impl Stream<Item = Result<T, Status>> {
    let caught = AssertUnwindSafe(answers).catch_unwind();
    caught.map(|answer| {
        answer.unwrap_or_else(|_| {
            tracing::error!("a stream made the store panic");
            Err(Status::internal(
                "leasehold: a bug in the embedded store ended this stream",
            ))
        })
    })
}

fn panicked(uri: &Uri) -> Status {
    Status::internal(format!(
        "leasehold: a bug in the embedded store ended {}; whether it was carried out is unknown",
        uri.path()
    ))
}

/// Returns the answer of a grpc-go server where tonic's has no text, or has a code that clients of etcd take for
/// another error: they take "out of range" for a compacted revision.
fn plainer(headers: &HeaderMap, uri: &Uri) -> Option<Status> {
    // The status of a reply that succeeded follows its body and is not here.
    headers.get(Status::GRPC_STATUS)?;
    let status = Status::from_header_map(headers)?;
    match status.code() {
        Code::Unimplemented if status.message().is_empty() => Some(Status::unimplemented(format!(
            "unknown method {}",
            uri.path().trim_start_matches('/')
        ))),
        Code::OutOfRange if status.message().contains("message length too large") => {
            Some(Status::resource_exhausted(format!(
                "grpc: received message larger than max (limit {} bytes)",
                super::limits::MAX_MESSAGE_BYTES
            )))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::Service as _;

    use super::*;
    use crate::grpc::layer::LayeredService;

    fn answer(path: &'static str, status: Option<Status>) -> Status {
        let inner = tower::service_fn(move |_: Request<Body>| {
            let status = status.clone();
            async move {
                let Some(status) = status else {
                    panic!("a bug")
                };
                Ok::<_, Infallible>(status.into_http::<Body>())
            }
        });
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let Ok(answer) = LayeredService::new(FaultLayer, inner)
            .call(request)
            .now_or_never()
            .expect("nothing in it waits");
        Status::from_header_map(answer.headers()).expect("it is a refusal")
    }

    #[test]
    fn a_panic_is_answered_as_an_unknown_outcome() {
        let status = answer("/etcdserverpb.KV/Put", None);
        assert_eq!(status.code(), Code::Internal);
        insta::assert_snapshot!(status.message(), @"leasehold: a bug in the embedded store ended /etcdserverpb.KV/Put; whether it was carried out is unknown");
    }

    #[test]
    fn a_panic_in_a_stream_ends_it_with_an_error() {
        let answers = futures_util::stream::iter([1, 2]).map(|at| {
            assert!(at < 2, "a bug");
            Ok(at)
        });
        let received: Vec<_> = catch_panics(answers).collect().now_or_never().unwrap();
        assert!(
            matches!(received.as_slice(), [Ok(1), Err(_)]),
            "{received:?}"
        );
    }

    #[test]
    fn a_method_that_does_not_exist_is_named() {
        let status = answer("/x.Y/Z", Some(Status::unimplemented("")));
        assert_eq!(status.code(), Code::Unimplemented);
        insta::assert_snapshot!(status.message(), @"unknown method x.Y/Z");
    }

    #[test]
    fn a_message_over_the_transport_limit_is_resource_exhausted() {
        let given = Status::out_of_range(
            "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes",
        );
        let status = answer("/etcdserverpb.KV/Put", Some(given));
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn a_services_own_refusal_is_left_alone() {
        let given = Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        let status = answer("/etcdserverpb.KV/Range", Some(given.clone()));
        assert_eq!(
            (status.code(), status.message()),
            (given.code(), given.message())
        );
        let given = Status::unimplemented("leasehold: no");
        assert_eq!(answer("/x", Some(given)).message(), "leasehold: no");
    }
}
