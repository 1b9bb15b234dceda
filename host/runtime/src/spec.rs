//! Parameters of one run, from the supervisor: its trigger, its input, and its stop signal.
//!
//! Plain data. It contains no handle through which a guest could act.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::mark::PollMark;
use super::raw_output::RawOutput;
use super::run_trace::RunTrace;
use super::tap::OutputTap;
use leasehold_config::secrets::Secrets;
use leasehold_config::wall::UnixMs;

/// Cause of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Its interval or time of day was reached.
    Schedule,
    /// An operator requested it.
    Manual,
    /// A watched value changed.
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
    /// Number of the attempt: 1 for the first, one more for each retry.
    pub attempt: u32,
    /// Cause of the run.
    pub trigger: Trigger,
    /// Scheduled time. `None` if the run was not scheduled.
    pub scheduled_at_unix_ms: Option<UnixMs>,
    /// Arguments after the program's name, which is the job's name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Environment variables with secret values: the variable's name, and the secret's name in `secrets`.
    pub env_secrets: Vec<(String, String)>,
    /// Secrets of the run. The guest may read them; no output shows them.
    pub secrets: Secrets,
    /// The job's `[jobs.NAME.config]` table as JSON text.
    pub config_json: String,
    /// Reader of the unchanged standard output. `None` splits standard output into lines, each an event.
    /// Only for a run without secrets.
    pub raw_stdout: Option<RawOutput>,
    /// Receiver of every line of output, besides the events.
    pub tap: Option<Arc<dyn OutputTap>>,
    /// Longest time the run may take, on the boot-time clock.
    pub timeout: Option<Duration>,
    /// Signal with which the supervisor stops the run.
    pub stop: StopSignal,
    /// Mark that is set while the guest is polled, for a plugin that this host has not run before.
    pub mark: Option<PollMark>,
    /// Trace that the run belongs to. `None` if runs are not traced.
    pub trace: Option<RunTrace>,
}

/// Signal with which the supervisor stops a run. Clones share the tokens.
#[derive(Clone, Debug)]
pub struct StopSignal {
    /// Cancelled to request that the guest finish: `stop-requested` returns true from then on.
    pub requested: CancellationToken,
    /// Time between the request and the interruption of the guest.
    pub grace: Duration,
    /// Cancelled to interrupt the guest at once.
    pub abort: CancellationToken,
}

impl StopSignal {
    /// Makes a signal that is not given yet.
    pub fn new(grace: Duration) -> Self {
        Self {
            requested: CancellationToken::new(),
            grace,
            abort: CancellationToken::new(),
        }
    }
}
