//! Hostile input beside honest work: each is refused or has a bounded cost, and the neighbour's lock and run go on.
//!
//! `files/` holds small modules that once ended a host process.

mod dropped_in;
mod neighbour;
mod places;
mod proposals;
mod quarantine;
mod storage;

use std::time::Duration;

/// For things that will happen.
const SLACK: Duration = Duration::from_mins(1);
