//! Results of the tasks that work for jobs.

use leasehold_records::Outcome;

use crate::job::manual::ManualWait;
use crate::job::task::TaskResult;

/// Part of a job that a task works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskRole {
    /// The job's own turn.
    Turn,
    /// The requested run under this key.
    Manual(String),
}

/// Result of a task of a job.
pub(super) enum TaskOutput {
    /// A piece of work of the job's own turn has ended.
    Turn(TaskResult),
    /// The wait for the requested run under this key has ended.
    ManualWait(String, ManualWait),
    /// A requested run has ended, and the lock was given back.
    ManualRun(Outcome),
}
