//! An etcd v3 server for one machine, inside the process or beside it.
//!
//! It speaks enough of etcd's API that `etcdctl`, Go's `concurrency` package, Python clients and
//! `leasehold-lock` work against it unchanged, and keeps every acknowledged write through a crash. It
//! is one node and never more: beyond one machine the answer is a real etcd.
//!
//! ```no_run
//! use leasehold_store::{ListenAddress, StoreOptions, Store};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open(StoreOptions::directory("/var/lib/leasehold/store")).await?;
//! let endpoint = store.listen(ListenAddress::Tcp("127.0.0.1:2379".parse()?)).await?;
//! println!("etcdctl --endpoints {endpoint} get --prefix /");
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! - [`options`], [`store`]: opening, listening, closing. [`backup`]: the content as a stream or file, and back.
//! - `core`: the entry point of all requests; `writer`: the one place that changes the state; `shared_state`: the
//!   state behind its lock.
//! - `mvcc`: keys, revisions, transactions and leases in memory, without a clock or I/O of its own; `lease_expiry`:
//!   ending expired leases.
//! - `change`, `capture`, `key_range`, `peer`, `error`: values that the others share.
//! - `health`, `latency`, `exposition`: facts, durations and their text, for probes and metrics.
//! - `budget`: bytes that clients through sockets make the store hold.
//! - `disk`: the durable copy of the data.
//! - `watch`: subscribers to ranges of keys.
//! - `grpc`: one file for each of etcd's services; `serve`: sockets, pages over HTTP/1, and the connection without a
//!   socket.
//!
//! # What this crate must never do
//!
//! Acknowledge, show to a reader or send to a watcher data that is not durable; let a revision fall; end a lease
//! early; depend on locks' holders, jobs or guests.

pub mod backup;
pub mod options;
pub mod store;

mod budget;
mod capture;
mod change;
mod core;
mod disk;
mod error;
mod exposition;
mod grpc;
mod health;
mod key_range;
mod latency;
mod lease_expiry;
mod mvcc;
mod own_runtime;
mod peer;
mod serve;
mod shared_state;
mod watch;
mod writer;

pub use backup::{
    BackupError, BackupSummary, RestoredStore, RevisionFloor, inspect_backup, is_backup,
    restore_backup,
};
pub use disk::DiskError;
pub use error::OpenError;
pub use options::{DataLocation, OpenMedia, StoreMedia, StoreOptions};
pub use redb::StorageBackend;
pub use serve::{InProcessConnector, ListenAddress, ListenError};
pub use store::Store;
