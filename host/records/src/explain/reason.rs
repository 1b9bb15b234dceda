//! Reasons for the state of a job, as data.

use leasehold_ids::Token;
use serde::Serialize;

use crate::unix_ms::UnixMs;
use crate::wall_text::ZoneOffset;

/// A reason, and the hosts that it holds on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The hosts, sorted. Empty for a reason that holds on all of them.
    pub hosts: Vec<String>,
    /// The reason as data.
    #[serde(flatten)]
    pub kind: ReasonKind,
    /// The reason as a sentence without a subject and an end.
    pub text: String,
}

/// The tick that a job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextTick {
    /// Its nominal time.
    pub at_unix_ms: UnixMs,
    /// The IANA name of the job's zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Seconds by which that zone is ahead of UTC at the tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_offset_s: Option<i32>,
    /// The schedule as a configuration has it.
    pub schedule: String,
}

/// The holder of the lock that a job waits for, and the job's place behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockedBy {
    /// The lock.
    pub lock: String,
    /// The job and the host that hold it, as `job@host`. Absent for a client that is no host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// True if the holder is the same job on another host, which is as it should be.
    pub same_job: bool,
    /// The key of the holder's entry.
    pub key: String,
    /// The holder's fencing token.
    pub token: Token,
    /// The time since when the lock is held, if a record shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_since_unix_ms: Option<UnixMs>,
    /// Number of clients that hold the lock beside that one.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_holders: usize,
    /// The job's place among the waiters, from 1.
    pub place: usize,
    /// Number of waiters.
    pub waiters: usize,
    /// The time since when the job waits.
    pub since_unix_ms: UnixMs,
}

/// Returns true for a number that JSON leaves out.
// Serde passes references.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A reason as data. The order is that of importance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ReasonKind {
    /// It runs.
    Running {
        /// The lock that it runs under.
        lock: String,
        /// The fencing token.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Token>,
        /// The start of the run.
        since_unix_ms: UnixMs,
    },
    /// It keeps its lock between two runs.
    BetweenRuns {
        /// The lock.
        lock: String,
        /// The fencing token.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Token>,
        /// The end of the last run.
        since_unix_ms: UnixMs,
    },
    /// A new version waits for the end of the run under way.
    Pending {
        /// Digest of its plugin, SHA-256 in hex.
        sha256: String,
        /// The time since when it waits.
        since_unix_ms: UnixMs,
    },
    /// An operator paused the job, or all jobs.
    Paused {
        /// True if all jobs are paused.
        all: bool,
        /// The operator.
        by: String,
        /// The operator's reason.
        why: String,
        /// The beginning of the pause.
        since_unix_ms: UnixMs,
        /// Its end, if it ends by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        until_unix_ms: Option<UnixMs>,
    },
    /// No live host has the job.
    NoHost {
        /// Number of live hosts.
        alive: usize,
    },
    /// An operator drained the host.
    Drained {
        /// The operator.
        by: String,
        /// The operator's reason.
        why: String,
        /// The beginning.
        since_unix_ms: UnixMs,
    },
    /// An operator's entry without a lease holds the lock.
    AdministrativeHold {
        /// The lock.
        lock: String,
        /// The key of the entry.
        key: String,
        /// The value of the entry: the operator's text.
        value: String,
    },
    /// Another holds the lock.
    Blocked(BlockedBy),
    /// Its entry is the first: it begins in a moment.
    Granted {
        /// The lock.
        lock: String,
        /// The fencing token.
        token: Token,
    },
    /// It is about to join the queue.
    Joining {
        /// The lock.
        lock: String,
        /// The time since when.
        since_unix_ms: UnixMs,
    },
    /// The host lacks something that a run needs.
    StandingBack {
        /// The lack, as a sentence.
        lack: String,
        /// The time since when.
        since_unix_ms: UnixMs,
        /// The time of the next check; absent for a slot, which is waited for.
        #[serde(skip_serializing_if = "Option::is_none")]
        until_unix_ms: Option<UnixMs>,
    },
    /// It failed for good.
    Failed {
        /// The error.
        error: String,
        /// The time of the failure.
        since_unix_ms: UnixMs,
    },
    /// It pauses after a failure.
    Backoff {
        /// The end of the pause.
        until_unix_ms: UnixMs,
        /// Number of the attempt that follows, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        /// The error.
        error: String,
    },
    /// Its last run on the host failed.
    LastFailed {
        /// The error.
        error: String,
    },
    /// It waits for its next tick.
    NextTick(NextTick),
    /// It pauses between two runs.
    Sleeping {
        /// The end of the pause.
        #[serde(skip_serializing_if = "Option::is_none")]
        until_unix_ms: Option<UnixMs>,
    },
    /// It has finished.
    Finished {
        /// The time of its end.
        since_unix_ms: UnixMs,
    },
    /// The host has the job and has recorded no state of it.
    Unrecorded,
}

impl ReasonKind {
    /// Returns the rank of the reason: smaller ones are shown first.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Running { .. } => 0,
            Self::BetweenRuns { .. } => 1,
            Self::Pending { .. } => 2,
            Self::Paused { .. } => 3,
            Self::NoHost { .. } => 4,
            Self::Drained { .. } => 5,
            Self::AdministrativeHold { .. } => 6,
            Self::Blocked(_) => 7,
            Self::Granted { .. } => 8,
            Self::Joining { .. } => 9,
            Self::StandingBack { .. } => 10,
            Self::Failed { .. } => 11,
            Self::Backoff { .. } => 12,
            Self::LastFailed { .. } => 13,
            Self::NextTick(_) => 14,
            Self::Sleeping { .. } => 15,
            Self::Finished { .. } => 16,
            Self::Unrecorded => 17,
        }
    }

    /// True for a run, and for a lock that is kept between two runs.
    pub const fn is_run(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::BetweenRuns { .. })
    }

    /// True for a pause by an operator.
    pub const fn is_pause(&self) -> bool {
        matches!(self, Self::Paused { .. })
    }

    /// True if the state and the next time show this reason already.
    pub const fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Running { .. }
                | Self::BetweenRuns { .. }
                | Self::NextTick(_)
                | Self::Sleeping { .. }
                | Self::Finished { .. }
        )
    }
}

impl NextTick {
    /// Returns the zone of the job, UTC where the host did not record one.
    pub fn zone_offset(&self) -> ZoneOffset<'_> {
        match (&self.zone, self.zone_offset_s) {
            (Some(name), Some(seconds)) => ZoneOffset { name, seconds },
            _ => ZoneOffset::UTC,
        }
    }
}
