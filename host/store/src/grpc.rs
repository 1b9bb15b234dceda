//! etcd's services, one file each, over [`crate::core::StoreCore`].
//!
//! These files turn requests into calls and results into replies. They must never decide the meaning of a key,
//! a lease or a revision: that is `core`'s part.

mod api;
mod auth;
mod cluster;
mod context;
mod counted;
mod election;
mod endpoints;
mod faults;
mod health_check;
mod kv;
mod layer;
mod lease;
mod limits;
mod lock;
mod maintenance;
mod manual_service;
mod metered;
pub(crate) mod method_table;
mod queue;
mod request_counts;
mod snapshot;
mod status;
mod txn_count;
mod watch;

pub(crate) use api::{EtcdApi, build_api};
pub(crate) use context::ServiceContext;
pub(crate) use endpoints::EndpointList;
pub(crate) use maintenance::{API_VERSION, CLUSTER_VERSION};
pub(crate) use request_counts::{MethodCounts, RequestCounts};
