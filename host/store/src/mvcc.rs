//! Keys, their versions, revisions and leases, all in memory.
//!
//! Nothing here depends on a clock, a disk, a task or the wire: time is an argument, and changes are returned as a
//! [`CommitBatch`]. The rules are etcd's (its `mvcc`, `lease` and `apply` packages describe them).
//!
//! - [`MvccState`]: keys, history and leases. [`command`], [`apply`]: writes, carried out on it.
//! - [`versions`]: one key's history. [`read`]: ranges. [`check`]: requests refused before anything runs.
//! - [`compare`], [`txn_path`], [`txn`]: transactions. [`leases`]: leases, and the keys attached to them.
//! - [`memory`], [`size`], [`quota`]: the memory that a write adds, and the history compacted for it.
//! - [`compaction`]: compacting history. [`hash`]: comparing the content of two stores.

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
