//! Locks on etcd: sessions, queues, grants, fenced writes and views.
//!
#![doc = include_str!("../README.md")]
//! # Layout
//!
//! - [`clock`], [`tenure`]: time, and the answer to "may I still act?".
//! - [`connect`], [`connector`], [`connectivity`], [`credentials`], [`error`], [`backoff`]: reaching the store.
//! - [`acquire`], [`lock_set`], [`lock_entry`], [`grant`], [`fence`], [`kv`], [`batch`]: taking a lock or several,
//!   holding them, writing under them; several writes at once.
//! - [`observer`]: calls at renewals, retries, reconnects, hand-offs and losses. [`end_reason`],
//!   [`queue_role`]: reasons and roles.
//! - [`feed`], [`view`]: keys and queues for display, as they change. [`health`], [`store_status`]: facts about the
//!   store. [`snapshot`]: its content, for a backup. [`operator`]: an operator's actions against entries of others.
//! - Private: `session`, `renewal`, `renewer`, `pool`, `lease_uses`, `lease_thread` (leases); `dialer`, `link`,
//!   `requests`, `regular_file`, `identity`, `connectivity_probe`, `cuttable` (the store); `claims`, `local_queue`,
//!   `queue_registry`, `queue_task`, `queue_keys`, `queue_requests`, `enqueue`, `queue_verifier`, `long_queue`,
//!   `own_entry` (queues); `watch_mux` (watches); `fenced_kv`, `key_range`, `pages`, `read_rights` (keys).
//!
//! # What this crate must never do
//!
//! Depend on guests, jobs or records; use the server-side Lock RPC; take a live lease as proof of ownership; delete
//! an entry by its name alone.

pub mod acquire;
pub mod backoff;
pub mod batch;
pub mod clock;
pub mod connect;
pub mod connectivity;
pub mod connector;
pub mod credentials;
pub mod end_reason;
pub mod error;
pub mod feed;
pub mod fence;
pub mod grant;
pub mod health;
pub mod kv;
pub mod lock_entry;
pub mod lock_set;
pub mod locks;
pub mod observer;
pub mod operator;
pub mod queue_role;
pub mod snapshot;
pub mod store_status;
pub mod tenure;
pub mod view;

mod claims;
mod connectivity_probe;
mod cuttable;
mod dialer;
mod enqueue;
mod fenced_kv;
mod identity;
mod key_range;
mod lease_thread;
mod lease_uses;
mod link;
mod local_queue;
mod long_queue;
mod own_entry;
mod pages;
mod pool;
mod queue_keys;
mod queue_registry;
mod queue_requests;
mod queue_task;
mod queue_verifier;
mod read_rights;
mod regular_file;
mod renewal;
mod renewer;
mod requests;
mod session;
mod watch_mux;

pub use acquire::{Acquire, LockPlace, LockWait};
pub use backoff::Backoff;
pub use batch::Batch;
pub use clock::{BootTime, Clock, ManualClock, SystemClock};
pub use connect::ConnectOptions;
pub use connectivity::StoreState;
pub use connector::{Connector, StoreService};
pub use credentials::{CredentialError, CredentialSource, Tls};
pub use cuttable::cuttable;
pub use end_reason::EndReason;
pub use error::{AcquireError, ConnectError, RefusalKind, StoreError};
pub use feed::{FeedItem, KeyChange, KeyFeed};
pub use fence::{Fence, FencedError};
pub use grant::Grant;
pub use health::StoreHealth;
pub use kv::{KeyScan, KeyValue, Kv};
pub use leasehold_ids::{LeaseId, LockMode, LockModeError, LockPermits, Revision, Token};
pub use lock_entry::LockEntry;
pub use lock_set::LockSetError;
pub use locks::Locks;
pub use observer::{LockObserver, RequestResult, StreamKind};
pub use operator::AuditNote;
pub use queue_role::{QueueRole, QueuedEntry};
pub use regular_file::open_regular;
pub use renewer::{RENEWALS_PER_TTL, renewal_interval};
pub use snapshot::{SnapshotPiece, SnapshotReader};
pub use store_status::{StoreMember, StoreStatus};
pub use tenure::Tenure;
pub use view::{QueueEntry, QueueView, ViewChange, ViewFreshness};
