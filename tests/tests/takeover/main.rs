//! Takeovers: two real hosts with one config on a real store, and everything that can come between them.
//!
//! Each scenario is a function over a kind of store, named after its promise, and runs on every kind that can
//! play it. Bounds are how long we are willing to wait; order is judged by the boot-time clock that all processes
//! share. No scenario may pass without guest effects to look at: [`scene::Duel::end`] sees to that.

mod capacity;
mod compaction;
mod contention;
mod deadline;
mod freeze;
mod identity;
mod jitter;
mod leader;
mod lost_reply;
mod modes;
mod network;
mod no_space;
mod outage;
mod scene;
mod shutdown;
mod starved;
mod store_paused;
mod store_restarted;
mod ticks;
mod waiter;
mod wall_clock;
