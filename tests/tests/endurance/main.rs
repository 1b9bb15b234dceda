//! Attempts to break `leasehold store serve` as a process: kills, a full disk, strangers, and much of everything.
//!
//! What is asserted is what clients were told and what the process takes; nothing here may know how the store
//! is made, nor assert speed. Bounds on memory are several times what was measured.
//!
//! `LEASEHOLD_KILLS` makes the crash test as long as one likes (with `cargo test`, which waits), `LEASEHOLD_SEED`
//! another one.

mod bounds;
mod client;
mod crash;
mod full_disk;
mod history;
mod limits;
mod raw;
mod second;
mod server;
mod strangers;
mod watches;
mod wire;

use std::time::Duration;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// A whole number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}
