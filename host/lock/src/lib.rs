//! Locks on etcd: sessions, queues, grants, fenced writes and views.
//!
#![doc = include_str!("../README.md")]
//! # Layout
//!
//! - [`clock`], [`tenure`]: time, and the answer to "may I still act?".
//! - [`connect`], [`connector`], [`connectivity`], [`credentials`], [`error`], [`backoff`]: reaching the store.
//! - [`acquire`], [`grant`], [`kv`], [`batch`]: taking a lock, holding it, writing under it; several writes at once.
//! - [`feed`], [`view`]: keys and queues for people, as they change. [`health`], [`operator`]: how the
//!   store is; what an operator may do to the entries of others.
//! - `session`, `renewal`, `renewer`, `pool`, `uses`, `pages`, `permitted`, `identity`, `guard`, `dialer`, `link`, `mux`, `requests`, `queue`,
//!   `claims`, `far`, `verify`, `entry`, `watch_ids`, `silence`, `cuttable`: how it is done; private.
//!
//! # What this crate must never do
//!
//! Know about guests, jobs or records; use the server-side Lock RPC; take a live lease as proof of
//! ownership; delete an entry by its name alone.

pub mod acquire;
pub mod backoff;
pub mod batch;
pub mod clock;
pub mod connect;
pub mod connectivity;
pub mod connector;
pub mod credentials;
pub mod error;
pub mod feed;
pub mod fence;
pub mod grant;
pub mod health;
pub mod kv;
pub mod locks;
pub mod operator;
pub mod tenure;
pub mod view;

mod claims;
mod connectivity_probe;
mod cuttable;
mod dialer;
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
pub use error::{AcquireError, ConnectError, RefusalKind, StoreError};
pub use feed::{FeedItem, KeyChange, KeyFeed};
pub use fence::{Fence, FencedError};
pub use grant::Grant;
pub use health::StoreHealth;
pub use kv::{KeyScan, KeyValue, Kv};
pub use locks::Locks;
pub use operator::AuditNote;
pub use regular_file::open_regular;
pub use renewer::{RENEWALS_PER_TTL, renewal_interval};
pub use tenure::{EndReason, Tenure};
pub use view::{QueueEntry, QueueView, ViewChange, ViewFreshness};
