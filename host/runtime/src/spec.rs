//! What the supervisor says about one run: why it happens, with what input, and how it is stopped.
//!
//! Plain data. This file must never carry anything that a guest could use to act.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::mark::PollMark;
use super::passed::RawOutput;
use leasehold_config::secrets::Secrets;

/// Why a run happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Its interval or time of day came.
    Schedule,
    /// A person asked for it.
    Manual,
    /// Something watched has changed.
    Watch,
    /// The job is one that keeps running.
    Continuous,
}

/// One run of a plugin.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The job's name.
    pub job: String,
    /// Identity of this run, unique over hosts.
    pub run_id: String,
    /// One for the first attempt, counted up by retries.
    pub attempt: u32,
    /// Why the run happens.
    pub trigger: Trigger,
    /// When it was due, in Unix milliseconds; `None` when it was not scheduled.
    pub scheduled_at_unix_ms: Option<u64>,
    /// Arguments after the program's name, which is the job's name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Environment variables that are secrets, and the names of those in `secrets`.
    pub env_secrets: Vec<(String, String)>,
    /// What the run may know and nobody may see.
    pub secrets: Secrets,
    /// The job's `[jobs.NAME.config]` table as JSON text.
    pub config_json: String,
    /// The reader of standard output as it is; otherwise it becomes lines that are events. Only for a run
    /// without secrets.
    pub raw_stdout: Option<RawOutput>,
    /// Longest time the run may take, on the boot-time clock.
    pub timeout: Option<Duration>,
    /// How the supervisor stops the run.
    pub stop: StopSignal,
    /// Shows while the guest is polled, for a plugin that has not proven itself.
    pub mark: Option<PollMark>,
}

/// The supervisor's end of stopping a run. Clones share the tokens.
#[derive(Clone, Debug)]
pub struct StopSignal {
    /// Cancelled to ask the guest to finish: it sees `stop-requested` become true.
    pub requested: CancellationToken,
    /// How long after the request the guest is interrupted.
    pub grace: Duration,
    /// Cancelled to interrupt the guest at once.
    pub abort: CancellationToken,
}

impl StopSignal {
    /// A signal that nobody has given yet.
    pub fn new(grace: Duration) -> Self {
        Self {
            requested: CancellationToken::new(),
            grace,
            abort: CancellationToken::new(),
        }
    }
}
