//! The records, as JSON. Times are Unix milliseconds, for display; nothing is decided by them, with two exceptions.
//! The tick of a [`TickRecord`] is a name and not a clock reading. And hosts compare recorded times to find a wrong
//! clock.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::merged::MergedRuns;

/// Error for bytes that are not a record.
#[derive(Debug, thiserror::Error)]
#[error("this is not a record of ours: {0}")]
pub struct RecordError(#[from] serde_json::Error);

macro_rules! json {
    ($($record:ty),*) => { $(
        impl $record {
            /// Returns the record as JSON bytes.
            pub fn to_json(&self) -> Vec<u8> {
                // Strings, numbers and lists of them always serialize.
                serde_json::to_vec(self).unwrap_or_default()
            }

            /// Parses the record.
            ///
            /// # Errors
            ///
            /// [`RecordError`] when the bytes are not such a record.
            pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
                read(bytes)
            }
        }
    )* };
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    Ok(serde_json::from_slice(bytes)?)
}

json!(HolderRecord, HostRecord, IdRecord, JobRecord, DeedRecord);

/// Value of a queue entry: the waiter or holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRecord {
    /// The host's id.
    pub host: String,
    /// The job that needs the lock.
    pub job: String,
    /// The host's process id.
    pub pid: u32,
    /// The time when it joined the queue.
    pub since_unix_ms: u64,
}

/// A live host: its record ends with its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The host's id.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The time when it started.
    pub started_unix_ms: u64,
    /// Its jobs.
    pub jobs: Vec<String>,
}

/// The claim of one process on a host's id: it ends with its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRecord {
    /// The host's id.
    pub host: String,
    /// Random text of the data directory: a restart keeps it.
    pub instance: String,
    /// Random text of the process: a restart draws another.
    pub life: String,
    /// The machine's name.
    pub machine: String,
    /// The process id on that machine.
    pub pid: u32,
    /// The time when the process took the id.
    pub since_unix_ms: u64,
}

/// State of a job on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Until its next time, or until its next attempt.
    Sleeping,
    /// In the queue of its lock.
    Waiting,
    /// Not in the queue of its lock, because this host lacks what a run needs.
    StandingBack,
    /// Its guest runs and the lock is held.
    Running,
    /// Between two runs under the same grant.
    Pausing,
    /// Ended for good, successfully.
    Finished,
    /// Ended for good, with a failure.
    Failed,
}

impl JobState {
    /// Returns the state's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sleeping => "sleeping",
            Self::Waiting => "waiting",
            Self::StandingBack => "standing-back",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// Progress that a run reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The present step.
    pub message: String,
}

/// A job on one host: its record ends with the host's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: String,
    /// The host.
    pub host: String,
    /// The short name of its lock.
    pub lock: String,
    /// Its state.
    pub state: JobState,
    /// The time when that state began.
    pub since_unix_ms: u64,
    /// The fencing token it runs under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// The time when it continues, while sleeping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_unix_ms: Option<u64>,
    /// The outcome of its last run on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// A sentence about the state: why it failed, or the reason of its wait.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The progress that the run reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

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
    /// The short name of the lock.
    pub lock: String,
    /// The key of the lock entry it runs under; empty once it has ended, when that entry is deleted.
    #[serde(default)]
    pub lock_key: String,
    /// The fencing token.
    pub token: u64,
    /// Its number under this token.
    pub sequence: u32,
    /// The run's id.
    #[serde(default)]
    pub run_id: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The tick that it runs for, if its job has ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_unix_ms: Option<u64>,
    /// The plugin's digest, SHA-256 in hex.
    pub plugin_sha256: String,
    /// The time when it started.
    pub started_unix_ms: u64,
    /// The time when it had ended and the guest had stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_unix_ms: Option<u64>,
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
    /// The earlier runs that share this record, if they were too fast for one each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<MergedRuns>,
}

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
    pub tick_unix_ms: u64,
    /// Its state.
    pub state: TickState,
    /// Number of the attempt at this tick, from 1.
    pub attempt: u32,
    /// The time that the host's clock showed when it last wrote the record.
    pub clock_unix_ms: u64,
    /// The revision of the store at that write.
    pub revision: i64,
}

/// The latest tick of a job that a host has begun. Its tick decides which run is due. Its other times are for
/// display, and show if the clock of its host can be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickRecord {
    /// The job.
    pub job: String,
    /// The tick: its nominal time, independent of any clock.
    pub tick_unix_ms: u64,
    /// Its state.
    pub state: TickState,
    /// The host that began it.
    pub host: String,
    /// The key of the lock entry it was begun under; empty once its run has ended.
    #[serde(default)]
    pub lock_key: String,
    /// The fencing token it was begun under: the create revision of that entry.
    pub token: u64,
    /// Number of the attempt at this tick, from 1.
    pub attempt: u32,
    /// The run's id.
    #[serde(default)]
    pub run_id: String,
    /// The time when it was begun.
    pub claimed_unix_ms: u64,
    /// The time when its run had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_unix_ms: Option<u64>,
    /// The outcome of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The earliest time of another attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_unix_ms: Option<u64>,
    /// The latest tick of another host before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TickBefore>,
    /// True if its job was dropped into a folder; false if a configuration names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

impl TickRecord {
    /// Returns the time that the clock of its host showed when the record was last written.
    pub fn clock_unix_ms(&self) -> u64 {
        self.ended_unix_ms.unwrap_or(0).max(self.claimed_unix_ms)
    }
}

/// Action of an operator on other clients' locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// End a lease, and all keys attached to it.
    RevokeLease,
    /// Remove a waiter from a queue.
    RemoveEntry,
    /// Remove the holder from a queue, which stops what it runs.
    StopRun,
}

impl Deed {
    /// Returns the action's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RevokeLease => "revoke-lease",
            Self::RemoveEntry => "remove-entry",
            Self::StopRun => "stop-run",
        }
    }
}

/// An admin action and its target; kept for some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeedRecord {
    /// The action.
    pub deed: Deed,
    /// The operator, as user@machine; not verified.
    pub by: String,
    /// The full name of the lock that it was about.
    pub lock: String,
    /// The key of the queue entry that it was about.
    pub key: String,
    /// The create revision of that entry.
    pub token: u64,
    /// The lease that it was about, in hex.
    pub lease: String,
    /// Who had that entry, as far as it said so.
    pub whom: String,
    /// When.
    pub at_unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_today_reads_a_record_with_fields_of_tomorrow() {
        let text = br#"{"host":"a","job":"j","pid":7,"since_unix_ms":1,"mood":"fine"}"#;
        let record = HolderRecord::from_json(text).expect("unknown fields are ignored");
        assert_eq!(record.job, "j");
    }

    #[test]
    fn what_is_not_ours_is_an_error_not_a_panic() {
        for bytes in [&b""[..], b"\xff", b"[]", b"{\"host\":1}"] {
            assert!(HolderRecord::from_json(bytes).is_err());
        }
    }

    #[test]
    fn words_in_tables_are_the_words_in_json() {
        for state in [TickState::Claimed, TickState::Retry, TickState::Done] {
            let json = serde_json::to_string(&state).expect("a word");
            assert_eq!(json, format!("\"{}\"", state.as_str()));
        }
        for state in [JobState::Waiting, JobState::StandingBack] {
            let json = serde_json::to_string(&state).expect("a word");
            assert_eq!(json, format!("\"{}\"", state.as_str()));
        }
        for outcome in [Outcome::Abandoned, Outcome::Crashed, Outcome::Limit] {
            let json = serde_json::to_string(&outcome).expect("a word");
            assert_eq!(json, format!("\"{}\"", outcome.as_str()));
        }
    }
}
