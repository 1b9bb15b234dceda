//! Write Leasehold jobs in Rust: a job is a function and one macro line.
//!
//! Leasehold runs a job only while it holds the lock that the job declares, and
//! stops it before that lock can pass to another host. This crate is such a job's
//! view of its host: the [lock](Lock), the [fenced store](Kv), the
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
//! A job is stopped at any instruction, without notice, when its lease is about
//! to end. So at every point between two writes the store must hold a state that
//! a successor can continue from; the `ledger` example shows how. A request to
//! stop comes first where there is time for one: see [`Lock::stop_requested`].
//!
//! # Errors
//!
//! `?` works on [`GuardError`] and on every [`std::error::Error`]; [`Failure`]
//! documents how the run then ends.
//!
//! # Testing
//!
//! A job is a function, and runs natively under a [mock of the host](mock) that follows a script:
//! lose the lock here, let that write fail. Plain `cargo test` is all it takes.
//!
//! # Layout
//!
//! - `entry`: [`job!`], the one macro line; `manifest`: the settings and needs inside a plugin
//! - `outcome`: [`Outcome`] and [`Failure`], the ends of a run
//! - `error`: [`GuardError`], the error of operations under the lock
//! - `context`, `lock`, `kv`, `log`: the host's services
//! - `types`: values that pass between a job and its host
//! - `host`: the calls to the host or its mock; `bindings`: generated from `plugins/wit`, named there and
//!   in `entry`
//! - [`mock`]: a host for tests, in memory and scripted; natively only
//!
//! This crate caches no answer of the host about the lock, and retries nothing:
//! only the author knows which write may be repeated.

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
mod types;

#[doc(hidden)]
#[expect(
    clippy::same_length_and_capacity,
    reason = "generated: the canonical ABI hands over exactly sized buffers"
)]
pub mod bindings;

pub use context::Context;
#[doc(hidden)]
pub use entry::answer;
pub use error::GuardError;
pub use kv::Kv;
pub use lock::Lock;
pub use outcome::{Failure, OrFail, Outcome};
pub use types::{Entry, Trigger};
