//! Running each tick once, whatever clocks show: the record of a tick, and the decisions that follow from it.
//!
//! - `store`: the record in the store. `request`: the requested tick. `decision`: decisions from a record.
//! - `look`, `claim`, `mark`: the three steps. `owner`: the job that a record belongs to.
//! - `passed`: ticks between two claims.
//!
//! # Flow
//!
//! The record of a job, one key, holds the latest tick that any host has begun. A host that has the lock claims its
//! tick there, in a transaction that compares its lock entry and the record's revision. Only then does the guest
//! run. When the guest has stopped, the tick is marked, and then the lock is given back.
//!
//! # Guarantees
//!
//! - A tick that is done is not run again by any host, nor is an earlier one than any that was begun.
//! - A holder of the lock takes over a tick begun under that lock, because the host that began it has lost the
//!   lock. A tick begun under a lock that is not exclusive to the claimant, because it is shared, or is another one
//!   while a configuration changes host by host, is left alone as long as that run's entry exists.
//! - A late claim, from a host that has lost the lock, is refused by the store itself.
//! - Marking compares the revision of the claim alone. A host that takes a tick over writes the record anew, so a
//!   late mark succeeds only for a tick that was not taken over.
//!
//! - A tick later than any correct clock can show ([`SKEW`](super::clocks::SKEW)) is not believed. The holder of the lock then claims as
//!   if the record were the one before it, of another host, which every claim keeps. A host whose own clock is in
//!   doubt ([`clocks`](super::clocks)) neither claims nor skips, but stands back. The clock is checked before every claim.
//!
//! # Assumptions
//!
//! At most one of two hosts that claim one after the other has a wrong clock. If both have, the record that the
//! first one kept is lost with the second claim, and a tick may be run twice.
//!
//! A guest whose effects are not fenced may have done part of its work before its host died. A tick taken over is
//! run from the start.

mod claim;
mod decision;
mod look;
mod mark;
mod owner;
mod passed;
mod request;
mod store;

pub(crate) use self::claim::{ReplacedRecord, TickClaimant, claim};
pub(crate) use self::look::look;
pub(crate) use self::mark::{EndedTick, mark};
pub(crate) use self::passed::{ClaimedBefore, find_passed};
pub(crate) use self::request::TickRequest;
pub(crate) use self::store::{HeldTicks, StoredTicks};
#[cfg(test)]
pub(crate) use self::store::{RecordVersion, TickReader, TickStore};

#[cfg(test)]
mod tests;
