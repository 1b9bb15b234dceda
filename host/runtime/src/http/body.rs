//! Bodies of requests and responses, counted while they are transferred.
//!
//! Only the current part of a body is held.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::super::output::Output;
use super::own_headers::remove_ours;
use leasehold_config::{JobSource, LimitKey, Remedy};

/// Bytes that a body may still have.
pub(super) struct BodyBudget {
    most: u64,
    left: u64,
    job: JobSource,
    output: Arc<Output>,
}

impl BodyBudget {
    pub(super) fn new(most: u64, job: JobSource, output: Arc<Output>) -> Self {
        Self {
            most,
            left: most,
            job,
            output,
        }
    }

    /// Subtracts the bytes of a part. The error is the body's limit.
    fn spend(&mut self, frame: &Frame<Bytes>, what: &str) -> Result<(), u64> {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return Ok(());
        }
        let (most, remedy) = (self.most, Remedy::Raise(LimitKey::HttpBody));
        let remedy = remedy.for_source(&self.job);
        self.output
            .remark(&format!("{what} has more than {most} bytes: {remedy}"));
        Err(most)
    }
}

/// Body of a request.
pub(super) struct RequestBody {
    inner: WasiBody,
    budget: BodyBudget,
    /// Headers that no trailer may set.
    tokens: Arc<[HeaderName]>,
}

impl RequestBody {
    pub(super) fn new(inner: WasiBody, budget: BodyBudget, tokens: Arc<[HeaderName]>) -> Self {
        Self {
            inner,
            budget,
            tokens,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            remove_ours(trailers, &self.tokens);
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Err(most) = self.budget.spend(frame, "a request's body")
        {
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(most)))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Body of a response. It ends with an error if no part arrives for too long.
pub(super) struct ResponseBody {
    incoming: hyper::body::Incoming,
    budget: BodyBudget,
    pause: Duration,
    pause_over: Pin<Box<Sleep>>,
    failed: bool,
}

impl ResponseBody {
    pub(super) fn new(
        incoming: hyper::body::Incoming,
        budget: BodyBudget,
        pause: Duration,
    ) -> Self {
        Self {
            incoming,
            budget,
            pause,
            pause_over: Box::pin(tokio::time::sleep(pause)),
            failed: false,
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Err(most) = self.budget.spend(&frame, "an answer's body") {
                    return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(most)))));
                }
                let until = Instant::now() + self.pause;
                self.pause_over.as_mut().reset(until);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Error::Hyper(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                std::task::ready!(self.pause_over.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let polled = self.next(cx);
        self.failed = matches!(polled, Poll::Ready(Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
