//! Counting of every request and of the status it ends with.
//!
//! This file must never inspect a message, nor change an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::layer::{AnswerFuture, InnerService, RequestLayer};
use super::request_counts::{OpenRequest, RequestCounts};

/// Counts requests.
#[derive(Clone)]
pub(crate) struct CountLayer(Arc<RequestCounts>);

impl CountLayer {
    pub(super) const fn new(counts: Arc<RequestCounts>) -> Self {
        Self(counts)
    }
}

impl RequestLayer for CountLayer {
    fn call<S: InnerService>(&self, inner: &mut S, request: Request<Body>) -> AnswerFuture {
        let mut open = self.0.begin(request.uri().path());
        let answering = inner.call(request);
        async move {
            let answer = answering.await?;
            if let Some(code) = status_code(answer.headers()) {
                open.set_code(code);
                return Ok(answer);
            }
            Ok(answer.map(|body| Body::new(CountedBody { body, open })))
        }
        .boxed()
    }
}

/// Returns the code in headers or trailers.
fn status_code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

/// The body of an answer. Its trailers carry the status.
struct CountedBody {
    body: Body,
    open: OpenRequest,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().and_then(status_code),
            Some(Err(status)) => Some(status.code()),
            None => None,
        };
        if let Some(code) = code {
            this.open.set_code(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
