//! One Leasehold host: its jobs, their locks and their runs, from connecting to the store to an orderly end.
//!
//! - [`prepare`]: everything before a start. [`connect`]: from the `[store]` table to a connection.
//! - [`load_events`]: the loading of plugins as events.
//! - [`host`], [`shutdown`]: one host, and requests to end it. `identity`, `claim`: its process and its id.
//! - `supervisor`, `job`: the state of every job, and the work that each state asks for.
//! - `control`: orders of operators, which the jobs follow.
//! - [`reload`], [`applied`]: following the configuration's files; what a host has applied.
//! - `fenced`, `budget`: keys that guests keep in the store, and their bytes.
//! - `file_digest`: versions of the files that define jobs, for comparing hosts.
//! - `output`: the last lines of running guests, published while a reader requests them.
//! - `quarantine`: plugins that brought the process down in their first run.
//! - [`event`], [`event_level`], [`event_log`], `record_writer`: what happened, as lines and as records in the store.
//!
//! How one run flows, with no way back: configuration → supervisor → lock → [`Grant`] → runtime →
//! outcome → record. A guest runs only where a grant is at hand. This crate knows no exit codes and no tables.
//!
//! [`Grant`]: leasehold_lock::Grant

pub mod applied;
mod budget;
mod claim;
pub mod connect;
mod control;
pub mod end;
pub mod event;
pub mod event_level;
pub mod event_log;
mod fenced;
mod file_digest;
pub mod host;
mod identity;
mod job;
pub mod last_words;
pub mod load_events;
mod output;
pub mod prepare;
mod quarantine;
mod record_writer;
pub mod reload;
pub mod shutdown;
mod supervisor;
