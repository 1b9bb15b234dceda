//! The embedded store among strangers: against real etcd request by request, and under clients that are not ours.
//!
//! Servers are private to a test. Nothing here may know how the store is made: it is met on the wire.

mod differential;
mod embedded;
mod etcdctl;
mod python;
