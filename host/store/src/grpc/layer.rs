//! Layers: code around the services that sees every request.
//!
//! This file must never inspect a request.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

/// The answer to a request, once it is ready.
pub(crate) type AnswerFuture = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// A service that a layer can wrap.
pub(crate) trait InnerService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S> InnerService for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// A layer around services.
pub(crate) trait RequestLayer: Clone + Send + 'static {
    /// Answers a request, by the inner service or in its place.
    fn call<S: InnerService>(&self, inner: &mut S, request: Request<Body>) -> AnswerFuture;
}

/// A service within a layer.
#[derive(Clone)]
pub(crate) struct LayeredService<L, S> {
    layer: L,
    inner: S,
}

impl<L, S> LayeredService<L, S> {
    pub(super) const fn new(layer: L, inner: S) -> Self {
        Self { layer, inner }
    }
}

impl<L: RequestLayer, S: InnerService> Service<Request<Body>> for LayeredService<L, S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> AnswerFuture {
        self.layer.call(&mut self.inner, request)
    }
}
