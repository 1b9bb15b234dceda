//! Leasehold: runs WebAssembly jobs only while the etcd lock that each declares is held.
//!
//! # Layout
//!
//! - [`config`], [`limits`]: what is asked for, checked.
//! - `check`, `serve`, `show`, `cli`: the commands.
//! - `supervisor`, `job`: which job should be doing what, and the work that does it.
//! - [`runtime`]: guests. The only module that names wasmtime.
//! - `fenced`, `connect`: the store, through `leasehold-lock` alone.
//! - `event`, `timeline`, `journal`: what happened, for people and for the store.
//!
//! How one run flows, with no way back: configuration → supervisor → lock → [`Grant`] → runtime →
//! outcome → record. A guest runs only where a grant is at hand.
//!
//! [`Grant`]: leasehold_lock::Grant

pub mod config;
pub mod connect;
pub mod exit;
pub mod limits;
pub mod runtime;

mod check;
mod cli;
mod event;
mod failure;
mod fenced;
mod job;
mod journal;
mod serve;
mod show;
mod supervisor;
mod table;
mod timeline;

pub use cli::main;
