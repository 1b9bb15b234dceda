//! The lock library alone, on every store: the promises of `leasehold-lock` to any program.
//!
//! Waits are bounded and events are waited for; no test here asserts how fast something is.

mod acquire;
mod clock;
mod compared;
mod crowd;
mod deadline;
mod endpoints;
mod feed;
mod reading;
mod unanswered;
mod unread;
mod view;

use std::time::Duration;

use leasehold_tests::acquisitions::{client, granted, queue_of, start};

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);
