//! Contents of events about what a host finds: missed ticks, wrong clocks, abandoned runs, recipients and collectors out of
//! reach.

use serde::Serialize;

/// Ticks that no host has begun; found by the host that claimed the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissedTicks {
    /// Nominal time of the first.
    pub first: String,
    /// Nominal time of the last.
    pub last: String,
    /// Their number; 1000 stands for that many or more.
    pub count: u64,
}

/// A tick that a host with a wrong clock had claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DisbelievedTick {
    /// Nominal time of the tick.
    pub tick: String,
    /// The host that claimed it.
    pub by: String,
    /// Clock of that host.
    pub its_clock: String,
    /// Clock of this host.
    pub our_clock: String,
}

/// A run without an end: its host vanished or could not reach the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AbandonedRun {
    /// The host of the run.
    pub ran_on: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The tick of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick: Option<String>,
}

/// A recipient that messages do not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotifyFailure {
    /// The program, or the server.
    pub recipient: String,
    /// The error.
    pub error: String,
}

/// A collector that traces do not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceOutage {
    /// The collector.
    pub endpoint: String,
    /// The error.
    pub error: String,
    /// Time since the first request that failed, in milliseconds.
    pub silent_ms: u64,
}

/// A collector that takes traces again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceReturn {
    /// The collector.
    pub endpoint: String,
    /// Length of the outage, in milliseconds.
    pub away_ms: u64,
    /// Spans that were dropped meanwhile.
    pub dropped: u64,
}
