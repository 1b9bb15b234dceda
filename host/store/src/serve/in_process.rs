//! The connection for clients of the same process: the same services, called directly.
//!
//! A request is carried out on the caller's task, so this file must never let one block a thread that is not the
//! store's. None does. Reads, and the writes of a store in memory, only compute. Writes to a disk go to the writer's
//! thread unless the caller is on the store's runtime (see [`crate::writer`]). Work that outlives its request is a
//! task of the store's runtime (see [`crate::grpc::ServiceContext`]).

use std::fmt;
use std::sync::{Arc, Weak};

use http::{Request, Response};
use leasehold_lock::{Connector, StoreService};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Service as _};

use crate::grpc::EtcdApi;

/// The services for callers inside the process; owned by the server.
pub(super) struct InProcessService {
    pub(super) api: EtcdApi,
    /// Refuses further requests.
    pub(super) cancel: CancellationToken,
    /// Ends requests in the middle of their work.
    pub(super) cut: CancellationToken,
    /// Requests that have not been answered. A stream counts as answered when it begins: it ends by itself when its
    /// client next polls it, and a client that never polls must not delay the end.
    pub(super) under_way: TaskTracker,
}

impl InProcessService {
    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        // Counted before the check: closing waits for all requests that passed it.
        let _under_way = self.under_way.token();
        if self.cancel.is_cancelled() {
            return Ok(closed());
        }
        // Most requests never wait. A task that sends requests without a pause must still let others run.
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

/// The connection for clients in this process. Cheap to clone. It does not keep the store open.
#[derive(Clone)]
pub struct InProcessConnector {
    service: Weak<InProcessService>,
}

impl InProcessConnector {
    pub(super) fn new(service: &Arc<InProcessService>) -> Self {
        Self {
            service: Arc::downgrade(service),
        }
    }
}

impl Connector for InProcessConnector {
    fn service(&self) -> StoreService {
        let service = self.service.clone();
        StoreService::new(tower::service_fn(move |request| {
            let service = service.upgrade();
            async move {
                match service {
                    Some(service) => service.answer(request).await,
                    None => Ok(closed()),
                }
            }
        }))
    }

    fn describe(&self) -> String {
        "the embedded store".to_owned()
    }
}

impl fmt::Debug for InProcessConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}
