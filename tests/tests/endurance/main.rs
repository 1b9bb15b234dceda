//! Attempts to break `leasehold store serve` as a process: kills, a full disk, strangers, and much of everything.
//!
//! Assertions are on the clients' answers and the process's resources; none depends on the store's code or on speed.
//! Bounds on memory are several times the measured values.
//!
//! `LEASEHOLD_KILLS` sets the length of the crash test (with `cargo test`, which waits), `LEASEHOLD_SEED` its seed.

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
