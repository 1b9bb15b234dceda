//! The stack of services that every client calls: all of etcd's, behind the checks that apply to each request.

use std::sync::Arc;

use etcd_client::proto::{
    PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer,
};
use tonic::service::Routes;

use super::context::ServiceContext;
use super::counted::CountLayer;
use super::faults::FaultLayer;
use super::layer::LayeredService;
use super::limits::MAX_MESSAGE_BYTES;
use super::metered::MeterLayer;
use super::txn_count::TxnCountLayer;
use super::{auth, cluster, election, health_check, kv, lease, lock, maintenance, watch};

/// The services that every client calls.
pub(crate) type EtcdApi = LayeredService<CountLayer, LayeredService<FaultLayer, MeteredApi>>;

/// The services behind the budget of their connection.
type MeteredApi = LayeredService<MeterLayer, LayeredService<TxnCountLayer, Routes>>;

/// Builds all services over one store.
pub(crate) fn build_api(context: &ServiceContext) -> EtcdApi {
    /// Generated servers get their limits here, so that none lacks them.
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
            maintenance::MaintenanceService::new(context)
        )))
        .add_service(auth::AuthServer::new(core()))
        .add_service(health_check::HealthServer::new(
            core(),
            context.cancel.clone(),
        ))
        .add_service(lock::LockServer::new(context))
        .add_service(election::ElectionServer::new(context))
        .prepare();
    let layer = TxnCountLayer::new(Arc::new(kv::KvService::new(core())));
    let limited = LayeredService::new(layer, routes);
    let bounded = LayeredService::new(FaultLayer, LayeredService::new(MeterLayer, limited));
    LayeredService::new(CountLayer::new(Arc::clone(&context.counts)), bounded)
}
