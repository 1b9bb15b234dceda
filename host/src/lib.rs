//! Leasehold: runs WebAssembly jobs only while the etcd lock that each declares is held.
//!
//! # Layout
//!
//! - [`config`], [`limits`], [`allow`], [`manifest`]: the configuration, checked.
//! - [`secrets`]: the secrets of a job's run.
//! - `checkup`, `serve`, `dev`, `store`, `show`, `top`, `plugin`, `cli`: the commands.
//! - `check`, `found`, `applied`: preparation of a start, plugin files, the configuration in force.
//! - `owned`: opening files that only this user and root can change.
//! - `host`, `ending`, `embedded`: one host, its shutdown, and the store it may bring. `identity`,
//!   `claim`: the identity of the process, and the host id that only one process has.
//! - `quarantine`: plugins that brought the process down in their first run.
//! - `supervisor`, `job`: the state of every job, and the work that it needs.
//! - [`runtime`]: guests. The only module that names wasmtime.
//! - `wall`: wall time, for schedules and people.
//! - `fenced`, `connect`: the store, through `leasehold-lock` alone. `budget`: the amount of data
//!   that guests keep there.
//! - `event`, `timeline`, `journal`: events, for people and for the store. `diagnostics`: the logs
//!   of libraries. `rate`, `last_words`: bounds on lines and on waiting for their reader.
//!
//! Path of a run, one way only: configuration → supervisor → lock → [`Grant`] → runtime → outcome →
//! record. A guest runs only under a grant.
//!
//! [`Grant`]: leasehold_lock::Grant

pub mod allow;
pub mod config;
pub mod connect;
pub mod exit;
pub mod limits;
pub mod manifest;
pub mod runtime;
pub mod secrets;

mod applied;
mod budget;
mod check;
mod checkup;
mod claim;
mod cli;
mod descriptors;
mod dev;
mod diagnostics;
mod embedded;
mod ending;
mod event;
mod failure;
mod fenced;
mod found;
mod host;
mod identity;
mod job;
mod journal;
mod known_jobs;
mod last_words;
mod owned;
mod plugin;
mod quarantine;
mod rate;
mod reload;
mod serve;
mod show;
mod sink;
mod store;
mod stray;
mod supervisor;
mod table;
mod threads;
mod timeline;
mod top;
mod wall;

pub use cli::main;
