//! Request for a tick.

use std::time::Duration;

use leasehold_config::wall::UnixMs;

/// Request for a tick: this one, or the newest that is due if no host has begun this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickRequest {
    pub(crate) tick: UnixMs,
    pub(crate) newest: UnixMs,
    pub(crate) now: UnixMs,
    /// Time that a host that has just started waits for others to write.
    pub(crate) settling: Duration,
    /// True if the job was dropped into a folder.
    pub(crate) is_dropped: bool,
}
