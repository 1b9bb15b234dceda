//! Hostile input beside honest work: each is refused or has a bounded cost, and the neighbour's lock and run go on.
//!
//! `files/` holds small modules that once ended a host process.

mod dropped_in;
mod neighbour;
mod proposals;

use std::time::Duration;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(60);
