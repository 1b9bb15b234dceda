//! Hostile input beside honest work: each is refused or has a bounded cost, and the neighbour's lock and run go on.
//!
//! `files/` holds small modules that once ended a host process.

mod again;
mod all_at_once;
mod compiling;
mod dashboards;
mod descriptors;
mod dropped_in;
mod forged;
mod links;
mod names;
mod neighbour;
mod nested_types;
mod other_user;
mod owners;
mod places;
mod proposals;
mod quarantine;
mod shown;
mod slow_calls;
mod storage;
mod store_clients;
mod swapped;
mod unread;
mod wasi_calls;

use std::time::Duration;

/// For things that will happen.
const SLACK: Duration = Duration::from_mins(1);
