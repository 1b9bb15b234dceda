//! The way in for clients of the same process: the same services, called directly.
//!
//! A request is carried out on the task that asked, so this file must never let one make a thread wait that is
//! not the store's. None does: reads and the writes of a store in memory only compute, writes to a disk are
//! handed to the writer's thread by anybody who is not on the store's runtime (see [`crate::writer`]), and what
//! has to outlive its request is a task of the store's runtime (see [`crate::grpc::Context`]).

use std::fmt;
use std::sync::{Arc, Weak};

use http::{Request, Response};
use leasehold_lock::{Connector, StoreService};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Service as _};

use crate::grpc::Api;

/// What requests from inside need of the server, which owns it.
pub(super) struct Inside {
    pub(super) api: Api,
    /// No more requests are let in.
    pub(super) cancel: CancellationToken,
    /// Ends requests in the middle of whatever they do.
    pub(super) cut: CancellationToken,
    /// The requests that have not been answered. A stream counts as answered when it begins: it ends by itself
    /// when its client next looks at it, and a client that never looks must not hold up the end.
    pub(super) under_way: TaskTracker,
}

impl Inside {
    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        // Counted before it looks: closing waits for all who saw it open.
        let _under_way = self.under_way.token();
        if self.cancel.is_cancelled() {
            return Ok(closed());
        }
        // Most requests never wait. A task that asks and asks must let others run all the same.
        tokio::task::coop::consume_budget().await;
        let mut api = self.api.clone();
        tokio::select! {
            biased;
            answer = api.call(request) => Ok(answer?),
            () = self.cut.cancelled() => Ok(closed()),
        }
    }
}

fn closed() -> Response<Body> {
    Status::unavailable("the embedded store is closed").into_http()
}

/// The way in for clients in this process. Cheap to clone. It does not keep the store open.
#[derive(Clone)]
pub struct InProcess {
    inside: Weak<Inside>,
}

impl InProcess {
    pub(super) fn new(inside: &Arc<Inside>) -> Self {
        Self {
            inside: Arc::downgrade(inside),
        }
    }
}

impl Connector for InProcess {
    fn service(&self) -> StoreService {
        let inside = self.inside.clone();
        StoreService::new(tower::service_fn(move |request| {
            let inside = inside.upgrade();
            async move {
                match inside {
                    Some(inside) => inside.answer(request).await,
                    None => Ok(closed()),
                }
            }
        }))
    }

    fn describe(&self) -> String {
        "the embedded store".to_owned()
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}
