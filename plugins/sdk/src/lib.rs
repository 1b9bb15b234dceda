//! Write Leasehold jobs in Rust: a job is a function and one macro line.
//!
//! Leasehold runs a job only while it holds the lock that the job declares, and
//! stops it before that lock can pass to another host. This crate is what such a
//! job sees of its host: the [lock](Lock), the [fenced store](Kv), the
//! [context](Context) of the run, [logging](log) and progress.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use leasehold_job::{Context, Failure, Outcome, job, log};
//!
//! job!(run);
//!
//! /// Counts its beats in the fenced store until it is asked to stop.
//! fn run(ctx: &Context) -> Result<Outcome, Failure> {
//!     let (lock, kv) = (ctx.lock(), ctx.kv());
//!     let mut beats: u64 = match kv.get("counter/beats")? {
//!         Some(entry) => entry.text()?.parse()?,
//!         None => 0,
//!     };
//!     while !lock.stop_requested(Duration::from_secs(1)) {
//!         beats += 1;
//!         kv.put("counter/beats", beats.to_string())?;
//!         log::info!("beat {beats}"; "token" => lock.token());
//!     }
//!     Ok(Outcome::done_with(format!("{beats} beats so far")))
//! }
//! # fn main() {}
//! ```
//!
//! Put it into a library with `crate-type = ["cdylib"]` and build it for
//! `wasm32-wasip1`. The host turns the resulting module into a component when
//! it loads it; no further tool is needed. `std` works: clocks, random numbers
//! and output always, the environment and directories as far as the host's
//! configuration grants them. Threads and sockets do not.
//!
//! # Being stopped
//!
//! A job is stopped at any instruction, without a word, when its lease is about
//! to end. So at every point between two writes the store must hold something a
//! successor can go on from; the `ledger` example shows how. A polite request
//! comes first where there is time for one: see [`Lock::stop_requested`].
//!
//! # Errors
//!
//! `?` works on [`GuardError`] and on every [`std::error::Error`]; what becomes
//! of the run is decided in [`Failure`].
//!
//! # Testing
//!
//! A job is a function, and runs natively under a [mock of the host](mock) that is told what to do:
//! lose the lock here, let that write fail. Plain `cargo test` is all it takes.
//!
//! # Layout
//!
//! - `entry`: [`job!`], the one macro line; `manifest`: what a plugin says about itself
//! - `outcome`: [`Outcome`] and [`Failure`], how a run ends
//! - `guard`: [`GuardError`], why a guarded operation did not succeed
//! - `context`, `lock`, `kv`, `log`: what the host offers
//! - `host`: who answers the calls; `bindings`: generated from `plugins/wit`, named there and in `entry`
//! - [`mock`]: a host for tests, in memory and told when to fail; natively only
//!
//! This crate must never cache what the host answers about the lock, and never
//! retry on its own: only the author knows which write may be repeated.

mod context;
mod entry;
mod error;
mod host;
mod kv;
mod lock;
pub mod log;
pub mod manifest;
#[cfg(not(target_family = "wasm"))]
pub mod mock;
mod outcome;

#[doc(hidden)]
#[expect(
    clippy::same_length_and_capacity,
    reason = "generated: the canonical ABI hands over exactly sized buffers"
)]
pub mod bindings;

pub use context::{Context, Trigger};
#[doc(hidden)]
pub use entry::answer;
pub use error::GuardError;
pub use kv::{Entry, Kv};
pub use lock::Lock;
pub use outcome::{Failure, OrFail, Outcome};
