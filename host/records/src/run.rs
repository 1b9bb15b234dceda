//! Record of a run, or of several that share it.

use leasehold_ids::Token;
use serde::{Deserialize, Serialize};

use crate::keys::RunKey;
use crate::manual_run::ManualRun;
use crate::unix_ms::UnixMs;

/// Outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The run has not ended.
    Running,
    /// It finished its work.
    Done,
    /// It finished and wants to run again under the same grant.
    Again,
    /// It failed and requested another attempt.
    Retry,
    /// It failed and requested no other attempt.
    Fatal,
    /// A command that exited with a code other than 0.
    Exit,
    /// It trapped.
    Trap,
    /// It reached a limit.
    Limit,
    /// The lock was lost and the guest was stopped.
    Lost,
    /// It ran longer than its timeout.
    Timeout,
    /// The host was stopping.
    Stopped,
    /// Its host vanished; written by the next holder of the lock.
    Abandoned,
    /// Its host's process died while the guest ran; written by that host after its restart.
    Crashed,
}

impl Outcome {
    /// Returns true for a run that ended without its work done, and was not stopped by its host.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Running | Self::Done | Self::Again | Self::Stopped => false,
            Self::Retry
            | Self::Fatal
            | Self::Exit
            | Self::Trap
            | Self::Limit
            | Self::Lost
            | Self::Timeout
            | Self::Abandoned
            | Self::Crashed => true,
        }
    }

    /// Returns the outcome's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Again => "again",
            Self::Retry => "retry",
            Self::Fatal => "fatal",
            Self::Exit => "exit",
            Self::Trap => "trap",
            Self::Limit => "limit",
            Self::Lost => "lost",
            Self::Timeout => "timeout",
            Self::Stopped => "stopped",
            Self::Abandoned => "abandoned",
            Self::Crashed => "crashed",
        }
    }
}

/// One run, from its start; rewritten once when it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The job.
    pub job: String,
    /// The host it ran on.
    pub host: String,
    /// The short name of the lock; of several, all names with `+` between.
    pub lock: String,
    /// True if other runs may hold its locks beside it: none of them is exclusive.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shared: bool,
    /// The key of the lock entry it runs under, of several the first; empty once it has ended, when that entry is
    /// deleted.
    #[serde(default)]
    pub lock_key: String,
    /// The fencing token.
    pub token: Token,
    /// Its number under this token.
    pub sequence: u32,
    /// The run's id.
    #[serde(default)]
    pub run_id: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The tick that it runs for, if its job has ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_unix_ms: Option<UnixMs>,
    /// The plugin's digest, SHA-256 in hex.
    pub plugin_sha256: String,
    /// The version of the host's program; empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The time when it started.
    pub started_unix_ms: UnixMs,
    /// The time when it had ended and the guest had stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_unix_ms: Option<UnixMs>,
    /// Its outcome.
    pub outcome: Outcome,
    /// The reason, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Host calls that were admitted.
    #[serde(default)]
    pub calls_admitted: u64,
    /// Host calls that were refused because the lock was no longer trusted.
    #[serde(default)]
    pub calls_refused: u64,
    /// The most memory the guest had, in bytes.
    #[serde(default)]
    pub peak_memory_bytes: u64,
    /// The end of its output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// Bytes of output that are not in `output`.
    #[serde(default)]
    pub output_truncated_bytes: u64,
    /// The directory on its host with all of its output, if the host keeps it and `output` is cut.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output_kept_in: String,
    /// The earlier runs that share this record, if they were too fast for one each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<MergedRuns>,
    /// The request of an operator that it was run for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<ManualRun>,
}

impl RunRecord {
    /// Returns true if an end is recorded, by the run's host or by a later holder of the lock.
    pub fn is_over(&self) -> bool {
        self.outcome != Outcome::Running
    }

    /// Returns the key of the run; of the last one if several share the record.
    pub fn key(&self) -> RunKey {
        RunKey {
            job: self.job.clone(),
            token: self.token,
            sequence: self.sequence,
        }
    }

    /// Returns the recorded lines of its output, each with its position: the number of bytes before it, one for each
    /// line's end included.
    pub fn output_lines(&self) -> impl Iterator<Item = (u64, &str)> {
        let mut at = self.output_truncated_bytes;
        let is_cut = at > 0;
        let lines = self.output.lines();
        let lines = lines.skip_while(move |line| is_cut && is_cut_note(line));
        lines.map(move |line| {
            let position = at;
            let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
            at = at.saturating_add(length).saturating_add(1);
            (position, line)
        })
    }
}

/// Returns true for the note that a host puts before the end of a long output. Its number is in the record too.
fn is_cut_note(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(" bytes of earlier output left out]")
}

/// Returns true for a flag that JSON leaves out.
// Serde passes references.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Runs with the same outcome, one after the other on one host. Their record is that of the last of them, with two
/// exceptions: its host calls are the sum over all runs, and its memory is the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRuns {
    /// The number of runs, the last included.
    pub runs: u64,
    /// The fencing token of the first.
    pub first_token: Token,
    /// The number of the first run under that token.
    #[serde(default)]
    pub first_sequence: u32,
    /// The time when the first started.
    pub first_started_unix_ms: UnixMs,
}
