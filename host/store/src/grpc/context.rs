//! Values that the services share.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::endpoints::EndpointList;
use super::request_counts::RequestCounts;
use crate::core::StoreCore;

/// Values that the services share.
#[derive(Clone)]
pub(crate) struct ServiceContext {
    /// The store.
    pub(crate) core: Arc<StoreCore>,
    /// The store's endpoints, for the list of members.
    pub(crate) endpoints: Arc<EndpointList>,
    /// Numbers of requests, for metrics.
    pub(crate) counts: Arc<RequestCounts>,
    /// Ends every stream and every wait.
    pub(crate) cancel: CancellationToken,
    /// Tasks that outlive their request.
    pub(crate) tasks: TaskTracker,
    /// The runtime of those tasks: a request from inside this process may come from a runtime that ends before it.
    pub(crate) runtime: Handle,
}
