//! Leasehold: runs WebAssembly jobs only while the etcd lock that each declares is held.
//!
//! # Layout
//!
//! - [`config`], [`limits`], [`allow`], [`manifest`]: what is asked for, checked.
//! - [`secrets`]: what a job is given to keep.
//! - `checkup`, `serve`, `dev`, `store`, `show`, `top`, `plugin`, `cli`: the commands.
//! - `check`, `found`, `applied`: what comes before a start, what lies in files, what a host has applied.
//! - `owned`: opening files that only this user and root can change.
//! - `host`, `ending`, `embedded`: one host, how it is asked to end, and the store it may bring. `identity`,
//!   `claim`: which process it is, and its id, which one process has.
//! - `quarantine`: plugins that brought the process down in their first run.
//! - `supervisor`, `job`: which job should be doing what, and the work that does it.
//! - [`runtime`]: guests. The only module that names wasmtime.
//! - `wall`: what clocks show, for schedules and people.
//! - `fenced`, `connect`: the store, through `leasehold-lock` alone. `budget`: how much guests keep there.
//! - `event`, `timeline`, `journal`: what happened, for people and for the store. `diagnostics`: what libraries log.
//!   `rate`, `last_words`: bounds on lines and on waiting for their reader.
//!
//! How one run flows, with no way back: configuration → supervisor → lock → [`Grant`] → runtime →
//! outcome → record. A guest runs only where a grant is at hand.
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
