//! The model: the state of the store, changed by facts alone.
//!
//! Pure: no clock, no network, no screen. [`Model::apply`] applies a fact; everything else reads. The shown moment is
//! the present or an earlier one ([`Model::shown`]); facts are applied either way.

mod apply;
mod derive_events;
mod entry_owner;
mod event;
mod held_locks;
mod history;
mod job_facts;
mod lease;
mod lease_locks;
mod lock;
mod lock_queue;
mod lock_row;
mod lock_stats;
mod queue_entry;
mod scope;
mod session;
mod store_item;
mod store_model;
mod store_state;
mod wait_graph;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub(crate) use entry_owner::EntryOwner;
pub(crate) use event::{EventKind, StoreEvent};
pub(crate) use lease::LeaseTtl;
pub(crate) use leasehold_lock::QueueRole;
pub(crate) use lock::{LeaveReason, ObservedLock};
pub(crate) use lock_row::{LockRow, LockState};
pub(crate) use queue_entry::QueueEntry;
pub(crate) use scope::KeyScope;
pub(crate) use session::{SessionBrief, SessionRow};
pub(crate) use store_model::{Model, ShownMoment, StoreLink};
pub(crate) use store_state::StoreState;
pub(crate) use wait_graph::{blocked_by, locks_kept_by};
