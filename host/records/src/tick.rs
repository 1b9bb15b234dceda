//! Record of a job's latest tick.

use leasehold_ids::{Revision, Token};
use serde::{Deserialize, Serialize};

use crate::run::Outcome;
use crate::unix_ms::UnixMs;

/// State of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TickState {
    /// A holder of the job's lock has begun it.
    Claimed,
    /// Its run failed; a later holder of the lock tries it again, at the retry time or later.
    Retry,
    /// No host runs it again.
    Done,
}

impl TickState {
    /// Returns the state's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Retry => "retry",
            Self::Done => "done",
        }
    }
}

/// The latest tick that another host had begun, copied when a host replaced its record. It counts where the clock of
/// the replacing host is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickBefore {
    /// The host that had begun it.
    pub host: String,
    /// The tick.
    pub tick_unix_ms: UnixMs,
    /// Its state.
    pub state: TickState,
    /// Number of the attempt at this tick, from 1.
    pub attempt: u32,
    /// The time that the host's clock showed when it last wrote the record.
    pub clock_unix_ms: UnixMs,
    /// The revision of the store at that write.
    pub revision: Revision,
}

/// The latest tick of a job that a host has begun. Its tick decides which run is due. Its other times are for
/// display, and show if the clock of its host can be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickRecord {
    /// The job.
    pub job: String,
    /// The tick: its nominal time, independent of any clock.
    pub tick_unix_ms: UnixMs,
    /// Its state.
    pub state: TickState,
    /// The host that began it.
    pub host: String,
    /// The key of the lock entry it was begun under; empty once its run has ended.
    #[serde(default)]
    pub lock_key: String,
    /// The fencing token it was begun under: the create revision of that entry.
    pub token: Token,
    /// Number of the attempt at this tick, from 1.
    pub attempt: u32,
    /// The run's id.
    #[serde(default)]
    pub run_id: String,
    /// The time when it was begun.
    pub claimed_unix_ms: UnixMs,
    /// The time when its run had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_unix_ms: Option<UnixMs>,
    /// The outcome of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The earliest time of another attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_unix_ms: Option<UnixMs>,
    /// The latest tick of another host before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TickBefore>,
    /// The schedule that it is a tick of, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// True if its job was dropped into a folder; false if a configuration names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

impl TickRecord {
    /// Returns the time that the clock of its host showed when the record was last written.
    pub fn clock_unix_ms(&self) -> UnixMs {
        self.ended_unix_ms
            .unwrap_or_default()
            .max(self.claimed_unix_ms)
    }
}
