//! The harness for scenarios on real etcd and on the embedded store, with real hosts and a network that fails on demand.
//!
//! # Layout
//!
//! - [`etcd`], [`etcdctl`], [`certs`]: a private server of any kind, its operator, its certificates;
//! - [`proxy`]: a network in front of it that delays, holds and cuts;
//! - [`cluster`]: members that are paused, killed, cut off from one another and restored from a copy;
//! - [`fake_etcd`]: a store in memory whose answers a test scripts;
//! - [`host`], [`guests`]: a host process with a config and plugins;
//! - [`terminal`]: a terminal with a shell in it, and what a person sees there;
//! - [`events`], [`checks`]: what hosts say, and whether they kept the promises;
//! - [`bank`]: the ledger plugin's accounts, added up;
//! - [`suite`]: the history check that runs over every scenario with hosts;
//! - [`every`]: one scenario, one test a store;
//! - [`process`], [`tail`], [`ports`], [`binaries`], [`wait`]: what these stand on.
//!
//! Everything blocks the thread that calls it, and may be used from tests with or without a runtime.
//! Time is real: bounds have slack, and nothing here asserts speed. What is missing on the machine
//! fails loudly and names the command that brings it; no test is ever skipped.

pub mod bank;
pub mod binaries;
pub mod certs;
pub mod checks;
pub mod cluster;
pub mod command;
pub mod etcd;
pub mod etcdctl;
pub mod events;
pub mod every;
pub mod fake_etcd;
pub mod guests;
pub mod host;
pub mod ports;
pub mod process;
pub mod proxy;
mod reaper;
pub mod suite;
pub mod tail;
pub mod terminal;
pub mod wait;
pub mod wat_plugins;
