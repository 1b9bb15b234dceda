//! The harness for scenarios on real etcd and on the embedded store, with real hosts and a network that fails on demand.
//!
//! # Layout
//!
//! - [`etcd`], [`etcdctl`], [`certs`]: a private server of any kind, its operator's client, its certificates;
//! - [`proxy`]: networks in front of it, and between its members, that delay, hold and cut;
//! - [`cluster`]: members that are paused, killed, cut off from one another and restored from a copy;
//! - [`fake_etcd`]: a store in memory whose answers a test scripts;
//! - [`host`], [`guests`], [`wat_plugins`]: a host process with a config and plugins;
//! - [`command`]: a command that ends by itself, and its output;
//! - [`service_manager`]: the socket at which hosts report their stages to systemd;
//! - [`terminal`]: a terminal with a shell in it, and its screen;
//! - [`prometheus`], [`http`]: a Prometheus that scrapes hosts, and single requests;
//! - [`events`], [`checks`]: the event logs of hosts, and the promises checked over them;
//! - [`bank`]: the ledger plugin's accounts, added up; [`base64`]: values of etcd's JSON;
//! - [`suite`]: the history check that runs over every scenario with hosts;
//! - [`every`]: one scenario, one test a store;
//! - [`process`], [`tail`], [`ports`], [`binaries`], [`wait`]: the base of these.
//!
//! Everything blocks the calling thread, and may be used from tests with or without a runtime. Time is real:
//! bounds have slack, and nothing here asserts speed. A tool that is missing on the machine fails the test with
//! the command that installs it; no test is skipped.

pub mod acquisitions;
pub mod bank;
pub mod base64;
pub mod binaries;
pub mod bombs;
pub mod certs;
pub mod checks;
pub mod cluster;
pub mod command;
pub mod etcd;
pub mod etcdctl;
pub mod etcdctl_lock;
pub mod events;
pub mod every;
pub mod fake_etcd;
pub mod guests;
pub mod host;
pub mod http;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod proxy;
mod reaper;
pub mod service_manager;
pub mod suite;
pub mod tail;
pub mod terminal;
pub mod wait;

pub use leasehold_wat as wat_plugins;
