//! etcd's services, one file each, over [`crate::core::Core`].
//!
//! What is here turns requests into calls and answers into replies. It must never decide what a key, a
//! lease or a revision is: that is `core`'s.

use std::sync::Arc;

use etcd_client::proto::{
    PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::service::Routes;

use crate::core::Core;
use crate::error::StoreError;

use super::cluster::Endpoints;
use super::faults::Faults;
use super::{auth, cluster, election, kv, lease, lock, maintenance, metered, txn_count, watch};

/// The largest write that is taken, in bytes: etcd's default for `--max-request-bytes`.
pub(super) const MAX_REQUEST_BYTES: usize = 1536 * 1024;

/// The largest message that is read at all, in bytes: etcd grants 512 KiB above the largest write, so
/// that one which is a little too large is refused in etcd's words and not by the transport.
pub(super) const MAX_MESSAGE_BYTES: usize = MAX_REQUEST_BYTES + 512 * 1024;

/// What every client talks to.
pub(crate) type Api = Faults<metered::Metered<txn_count::Counted<Routes>>>;

/// What the services share.
#[derive(Clone)]
pub(crate) struct Context {
    /// The store.
    pub(crate) core: Arc<Core>,
    /// Where it can be reached, for the list of members.
    pub(crate) endpoints: Arc<Endpoints>,
    /// Ends every stream and every wait.
    pub(crate) cancel: CancellationToken,
    /// What goes on behind requests.
    pub(crate) tasks: TaskTracker,
    /// Where that goes on: a request from inside this process may come from a runtime that ends before it.
    pub(crate) runtime: Handle,
}

/// All services over one store.
pub(crate) fn api(context: &Context) -> Api {
    /// Generated servers are told their limits here, so that none is forgotten.
    macro_rules! sized {
        ($server:expr) => {
            $server
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(usize::MAX)
        };
    }
    let core = || Arc::clone(&context.core);
    let watch = watch::WatchService::new(core(), context.cancel.clone());
    let lease = lease::LeaseService::new(core(), context.cancel.clone());
    let cluster = cluster::ClusterService::new(core(), Arc::clone(&context.endpoints));
    let routes = Routes::new(sized!(PbKvServer::new(kv::KvService::new(core()))))
        .add_service(sized!(PbWatchServer::new(watch)))
        .add_service(sized!(PbLeaseServer::new(lease)))
        .add_service(sized!(PbClusterServer::new(cluster)))
        .add_service(sized!(PbMaintenanceServer::new(
            maintenance::MaintenanceService::new(core())
        )))
        .add_service(auth::AuthServer::new(core()))
        .add_service(lock::LockServer::new(context))
        .add_service(election::ElectionServer::new(context))
        .prepare();
    let counted = txn_count::Counted::new(Arc::new(kv::KvService::new(core())), routes);
    Faults::new(metered::Metered::new(counted))
}

/// What a request hears that was still waiting when the store closed.
pub(super) fn stopped() -> Status {
    StoreError::Stopped.into()
}

/// What this store will never do, and who does.
pub(super) fn unsupported(what: &str, instead: &str) -> Status {
    StoreError::Unsupported(format!("leasehold: the embedded store {what}; {instead}")).into()
}
