//! etcd's services, one file each, over [`crate::core::Core`].
//!
//! These files turn requests into calls and results into replies. They must never decide the meaning of a key,
//! a lease or a revision: that is `core`'s part.

mod api;
mod auth;
mod cluster;
mod election;
mod faults;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod manual_service;
mod metered;
mod queue;
mod txn_count;
mod watch;

pub(crate) use api::{Api, Context, api};
pub(crate) use cluster::Endpoints;
