//! Keys, their versions, revisions and leases, all in memory.
//!
//! Nothing here knows a clock, a disk, a task or the wire: time comes in as a moment, what happened goes
//! out as a [`CommitBatch`]. The rules are etcd's (its `mvcc`, `lease` and `apply` packages describe them).
//!
//! - [`MvccState`]: the whole; what a write changes and what a commit makes of it.
//! - [`versions`]: one key's history. [`read`]: ranges. [`check`]: what is refused before anything runs.
//! - [`compare`], [`txn`]: transactions. [`leases`]: who has which lease, and what hangs on it.
//! - [`size`], [`quota`]: what a write adds, and the history that is given up for it.
//! - [`compaction`]: giving history up. [`hash`]: telling whether two stores hold the same.

mod apply;
pub(crate) mod check;
mod command;
mod compaction;
mod compare;
mod hash;
mod leases;
mod memory;
mod quota;
mod read;
mod size;
mod state;
pub(crate) mod txn;
mod txn_path;
mod versions;

#[cfg(test)]
mod tests;

pub(crate) use command::{WriteCommand, WriteReply};
pub(crate) use quota::HistoryRetention;
pub(crate) use read::answer_fits;
pub(crate) use state::MvccState;
