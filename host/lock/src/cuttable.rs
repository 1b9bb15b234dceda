//! A route to the store that can be cut, as a network can.
//!
//! Requests and streams pass as they are, or not at all. The store is not notified of the cut.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::connector::StoreService;

/// The same service until the token is cancelled. From then on requests fail with this message, and so do those under
/// way and their streams. Their outcome in the store is as unknown as over a network.
pub fn cuttable(inner: StoreService, cut: CancellationToken, words: &'static str) -> StoreService {
    StoreService::new(tower::service_fn(move |request| {
        let (inner, cut) = (inner.clone(), cut.clone());
        async move {
            let answer = tokio::select! {
                biased;
                () = cut.cancelled() => return Err(Status::unavailable(words).into()),
                answer = inner.oneshot(request) => answer?,
            };
            let cut = Box::pin(cut.cancelled_owned());
            Ok(answer.map(|inner| Body::new(Cuttable { inner, cut, words })))
        }
    }))
}

/// An answer that breaks off at the cut.
struct Cuttable {
    inner: Body,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    words: &'static str,
}

impl http_body::Body for Cuttable {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Status::unavailable(self.words))));
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use http_body::Body as _;

    use super::*;

    /// Answers with a stream that stays silent.
    fn silent() -> StoreService {
        StoreService::new(tower::service_fn(async |_| {
            Ok(Response::new(Body::new(Silence)))
        }))
    }

    struct Silence;

    impl http_body::Body for Silence {
        type Data = <Body as http_body::Body>::Data;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn the_cut_ends_streams_and_refuses_requests() {
        let cut = CancellationToken::new();
        let way = cuttable(silent(), cut.clone(), "cut off");
        let asked = || Request::new(Body::empty());
        let mut answer = way.clone().oneshot(asked()).await.unwrap().into_body();
        let mut next = std::pin::pin!(std::future::poll_fn(|context| {
            Pin::new(&mut answer).poll_frame(context)
        }));
        assert!(futures_util::poll!(&mut next).is_pending());
        cut.cancel();
        let broken = next.await.unwrap().unwrap_err();
        assert_eq!(broken.message(), "cut off");
        let refused = way.oneshot(asked()).await.unwrap_err();
        assert!(refused.to_string().contains("cut off"), "{refused}");
    }
}
