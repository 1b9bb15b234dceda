//! Records of an operator's control: pauses, drains, and requests to end a run.
//!
//! Hosts watch these keys. A host that cannot reach the store keeps to what it read last. `until` is compared with the
//! wall clock of each host.

use std::fmt;

use leasehold_ids::Token;
use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::unix_ms::UnixMs;

impl_json!(JobControl, HostControl, StopRequest);

/// An operator's order that keeps new runs from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldMark {
    /// The operator, as user@machine; not verified.
    pub by: String,
    /// The operator's reason; empty if none was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The time of the order, by the clock of the operator's machine.
    pub at_unix_ms: UnixMs,
    /// The time when it ends by itself, by the clock of each host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<UnixMs>,
}

impl HoldMark {
    /// Returns true if the order has not ended by itself at `now`.
    pub fn is_in_force(&self, now: UnixMs) -> bool {
        self.until_unix_ms.is_none_or(|until| now < until)
    }
}

/// The operator, the end and the reason, as in `by ann@vm until 06:00: the disk is full`.
impl fmt::Display for HoldMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}", self.by)?;
        if let Some(until) = self.until_unix_ms {
            write!(f, " until {until}")?;
        }
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

/// Control of one job, or of all jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobControl {
    /// No new run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<HoldMark>,
}

/// Control of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostControl {
    /// The host starts no new run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainMark>,
}

/// An order to start nothing more on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainMark {
    /// The operator, the time and the reason.
    #[serde(flatten)]
    pub mark: HoldMark,
    /// True if the host goes on without runs; otherwise it ends when its last run has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// Cause of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// The job is paused.
    Paused,
    /// All jobs are paused.
    AllPaused,
    /// The host is drained.
    Drained,
}

/// A hold on a job of one host, as that host has seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHold {
    /// Its cause.
    pub kind: HoldKind,
    /// The operator, the time and the reason.
    #[serde(flatten)]
    pub mark: HoldMark,
}

/// The cause and the order, as in `paused by ann@vm: the disk is full`.
impl fmt::Display for JobHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.kind {
            HoldKind::Paused => "paused",
            HoldKind::AllPaused => "all jobs are paused",
            HoldKind::Drained => "this host is drained",
        };
        write!(f, "{cause} {}", self.mark)
    }
}

/// Kind of a request to end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopKind {
    /// The run ends, and the job goes on by its schedule.
    Stop,
    /// The run ends, and the job runs again at once, with its newest version.
    Restart,
}

/// A request to end the run under one token. A later run has another token, and is never ended by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// The job.
    pub job: String,
    /// The fencing token of the run.
    pub token: Token,
    /// The kind of end.
    pub kind: StopKind,
    /// The operator, as user@machine; not verified.
    pub by: String,
    /// The operator's reason; empty if none was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The time of the request.
    pub at_unix_ms: UnixMs,
}

/// The request and the operator, as in `stopped by ann@vm: it hangs`.
impl fmt::Display for StopRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = match self.kind {
            StopKind::Stop => "stopped",
            StopKind::Restart => "restarted",
        };
        write!(f, "{act} by {}", self.by)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> HoldMark {
        HoldMark {
            by: "ann@vm".into(),
            why: "the disk is full".into(),
            at_unix_ms: UnixMs::new(1_000),
            until_unix_ms: Some(UnixMs::new(5_000)),
        }
    }

    #[test]
    fn hold_ends_at_its_time() {
        assert!(mark().is_in_force(UnixMs::new(4_999)));
        assert!(!mark().is_in_force(UnixMs::new(5_000)));
        let endless = HoldMark {
            until_unix_ms: None,
            ..mark()
        };
        assert!(endless.is_in_force(UnixMs::new(u64::MAX)));
    }

    #[test]
    fn hold_reads_as_a_sentence() {
        let hold = |kind| JobHold { kind, mark: mark() }.to_string();
        let rest = "by ann@vm until 1970-01-01T00:00:05Z: the disk is full";
        assert_eq!(hold(HoldKind::Paused), format!("paused {rest}"));
        assert_eq!(
            hold(HoldKind::AllPaused),
            format!("all jobs are paused {rest}")
        );
        assert_eq!(
            hold(HoldKind::Drained),
            format!("this host is drained {rest}")
        );
    }
}
