//! Sinks of events.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_config::Schedule;
use leasehold_config::wall::UnixMs;
use leasehold_lock::{BootTime, Token};
use leasehold_records::{JobRecord, RunRecord};
use leasehold_runtime::{PluginFacts, RunTrace};

use crate::event::Event;

/// A job of a running host after a change of its state. A view: it costs nothing where no sink reads it.
#[derive(Clone, Copy)]
pub struct JobView<'a> {
    /// Its state, as recorded in the store.
    pub record: &'a JobRecord,
    /// Its plugin.
    pub plugin: &'a PluginFacts,
    /// Its schedule.
    pub schedule: &'a Schedule,
}

/// A run whose guest is about to start. A view: it costs nothing where no sink reads it.
#[derive(Clone, Copy, Debug)]
pub struct RunStart<'a> {
    /// Name of the job.
    pub job: &'a Arc<str>,
    /// Name of its lock.
    pub lock: &'a Arc<str>,
    /// Fencing token.
    pub token: Token,
    /// Id of the run.
    pub run: &'a str,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Trigger of the run, as in [`EventKind::RunStarted`](crate::event::EventKind::RunStarted).
    pub trigger: &'static str,
    /// The tick of the run.
    pub tick: Option<UnixMs>,
    /// Time from the request for the lock to its grant.
    pub waited: Duration,
    /// This moment, on both clocks.
    pub started: (BootTime, SystemTime),
}

/// Consumer of the events of a process, such as the writer of its log.
///
/// Sinks are called one after the other, by the thread on which the event happened: a guest's worker, or the
/// supervisor. A sink that is full drops the event and counts it; it never waits.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn receive(&self, event: &Arc<Event>);

    /// Takes the state of a job of `host`, after each change that lasts.
    fn job_changed(&self, host: &Arc<str>, job: &JobView<'_>) {
        let _ = (host, job);
    }

    /// Takes a run of `host` before its guest starts, and returns the trace that it belongs to, if this sink makes one.
    /// The event `RunStarted` follows, unless the guest finds no room, and `RunEnded` in any case. The guest waits for it.
    fn run_begins(&self, host: &Arc<str>, run: &RunStart<'_>) -> Option<RunTrace> {
        let _ = (host, run);
        None
    }

    /// A job of `host` was removed, and its last run has ended.
    fn job_gone(&self, host: &Arc<str>, job: &str) {
        let _ = (host, job);
    }

    /// A run on another host had failed before a run of its job on `host`; found in the store, within ten seconds of the
    /// later one. `success` is the token of the first success after it, which was on `host`. A run may be passed twice.
    fn failed_elsewhere(&self, host: &Arc<str>, run: &RunRecord, success: Option<Token>) {
        let _ = (host, run, success);
    }

    /// Returns the number of events that it has dropped since its start.
    fn dropped(&self) -> u64 {
        0
    }

    /// Handles what it still holds, within a second. Later events are dropped.
    fn finish(&self) {}
}
