//! [`SkipCause`]: a reason as a word.

use serde::Serialize;

/// Reason for which a job did not run for a tick, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipCause {
    /// The tick passed, and no run began for it.
    Missed,
    /// Another holder kept the lock for longer than the job's `wait`.
    Contended,
    /// The tick passed while the job was paused, or its host drained.
    Held,
    /// A run for the tick has begun or ended already, here or on another host.
    AlreadyRun,
}
