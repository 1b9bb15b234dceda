//! Events of a host, as data, for every output.
//!
//! Their JSON is an interface: names and meanings of fields stay. `EVENTS.md` beside this crate's manifest lists them.

mod changes;
mod context;
mod found;
mod plugin_load;
mod skip_cause;

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::BootTime;
use serde::Serialize;

pub use changes::{ChangedJob, ReloadCounts};
pub use context::EventContext;
pub use found::{
    AbandonedRun, DisbelievedTick, MissedTicks, NotifyFailure, TraceOutage, TraceReturn,
};
pub use plugin_load::{CompileStart, LoadEnd};
pub use skip_cause::SkipCause;

/// An event with its host and time.
#[derive(Clone, Debug)]
pub struct Event {
    /// The host that logs it.
    pub host: Arc<str>,
    /// Time on the boot-time clock.
    pub at: BootTime,
    /// Wall time, for people.
    pub wall: SystemTime,
    /// The job, lock, token and run that it is about.
    pub context: EventContext,
    /// Kind of the event, with its fields.
    pub kind: EventKind,
}

/// Kinds of events, with their fields.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The host starts.
    HostStarted {
        /// Process id of the host.
        pid: u32,
        /// Version of the program.
        version: &'static str,
        /// Number of its jobs.
        jobs: usize,
    },
    /// The host is connected to its store.
    StoreConnected {
        /// Endpoints of the store, separated by commas.
        endpoint: String,
        /// Cluster id of the store, in hex.
        cluster_id: String,
        /// The end of the host's client certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate_until: Option<String>,
    },
    /// The embedded store is open; `data` describes the place of its data.
    StoreOpened {
        /// Place of its data.
        data: String,
        /// Endpoints that it listens on.
        endpoints: Vec<String>,
    },
    /// The embedded store is closed.
    StoreClosed,
    /// Metrics and health checks are served over HTTP.
    HttpListening {
        /// Address, with its port.
        address: String,
    },
    /// The store cannot be reached yet.
    StoreTrouble {
        /// The error.
        error: String,
    },
    /// An outage has begun: the store has answered nothing for this long.
    StoreLost {
        /// Time without an answer, in milliseconds.
        silent_ms: u64,
    },
    /// An outage has ended; the field is its whole length.
    StoreBack {
        /// Length of the outage, in milliseconds.
        away_ms: u64,
    },
    /// The host's id is held, perhaps by a host that has crashed. The end of its lease will show it.
    IdBusy {
        /// The id.
        id: String,
        /// Its holder, for people.
        holder: String,
    },
    /// The host's id is held by another process on the same data directory, so this process has another id.
    IdTaken {
        /// The id.
        id: String,
        /// The name that this host has instead.
        name: String,
        /// Its holder, for people.
        holder: String,
    },
    /// Another host took the id after the lease had ended.
    IdLost {
        /// The id.
        id: String,
        /// Its holder, for people.
        holder: String,
    },
    /// The host holds the id again.
    IdRegained {
        /// The id.
        id: String,
    },
    /// The job waits in the queue of its lock.
    Waiting {
        /// Number of entries ahead of the job's own.
        place: usize,
        /// Its holder, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// The job has waited for a while.
    Blocked {
        /// The job and the host that hold the lock.
        by: String,
        /// Its holder, for people.
        holder: String,
    },
    /// The lock is held.
    Acquired {
        /// Time from the request to the grant, in milliseconds.
        wait_ms: u64,
    },
    /// A run starts.
    RunStarted {
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Trigger of the run.
        trigger: &'static str,
        /// The tick of the run.
        #[serde(skip_serializing_if = "Option::is_none")]
        tick: Option<String>,
        /// SHA-256 of the plugin, in hex.
        plugin_sha256: String,
    },
    /// A line of a guest.
    Guest {
        /// Stream: `stdout`, `stderr` or `log`.
        stream: &'static str,
        /// Level of a line of the log.
        #[serde(skip_serializing_if = "Option::is_none")]
        level: Option<&'static str>,
        /// The text.
        text: String,
        /// Fields of a line of the log.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<(String, String)>,
    },
    /// Progress that a guest reports.
    Progress {
        /// Steps done.
        done: u64,
        /// Steps in all, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// Message of the guest.
        message: String,
    },
    /// The lock was lost in the middle of a run.
    LockLost {
        /// The reason.
        reason: String,
        /// The reason as a word: one of [`EndReason::LOSSES`](leasehold_lock::EndReason::LOSSES).
        cause: &'static str,
    },
    /// A run has ended; its guest no longer exists.
    RunEnded {
        /// Outcome of the run.
        outcome: &'static str,
        /// Its detail, for people.
        detail: String,
        /// Calls that the gate admitted.
        admitted: u64,
        /// Calls that the gate refused.
        refused: u64,
        /// Start of the run, in nanoseconds of boot time.
        started_ns: u64,
        /// First admitted call, in nanoseconds of boot time.
        #[serde(skip_serializing_if = "Option::is_none")]
        first_admitted_ns: Option<u64>,
        /// Last admitted call, in nanoseconds of boot time.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_admitted_ns: Option<u64>,
        /// End of the guest, in nanoseconds of boot time.
        stopped_ns: u64,
        /// Deadline of the tenure, in nanoseconds of boot time.
        deadline_ns: u64,
        /// Largest amount of linear memory in use at once, in bytes.
        peak_memory_bytes: u64,
        /// Writes of the guest that the store refused, because the lock was no longer held or the key had changed.
        writes_refused: u64,
        /// Lines of the guest that were left out: too many a second, or the host was busy.
        lines_dropped: u64,
    },
    /// The lock was released.
    Released {
        /// True if the store confirmed it.
        confirmed: bool,
    },
    /// The job did not run this time.
    Skipped {
        /// The reason.
        reason: String,
        /// The reason as a word.
        cause: SkipCause,
    },
    /// The run for a tick has ended, and the mark could not be written: the tick may be run again.
    TickUnmarked {
        /// Nominal time of the tick.
        tick: String,
        /// The error.
        error: String,
    },
    /// The host lacks something that the job needs, or an operator keeps it from starting; it is out of the queue.
    StandingBack {
        /// The reason.
        reason: String,
        /// True if other hosts may run it meanwhile.
        elsewhere: bool,
    },
    /// The process died in a plugin's first run. It is not run again before `until` or the removal of `file`.
    Quarantined {
        /// SHA-256 of the plugin, in hex.
        sha256: String,
        /// End of the quarantine.
        until: String,
        /// Path of the file.
        file: String,
    },
    /// No host has begun these ticks.
    TicksMissed(MissedTicks),
    /// A run has no end: its host died or could not reach the store. The context is that run's.
    RunAbandoned(AbandonedRun),
    /// A tick that a host with a wrong clock had claimed was overwritten.
    TickDisbelieved(DisbelievedTick),
    /// The job pauses after a failure.
    Backoff {
        /// Length of the pause, in milliseconds.
        delay_ms: u64,
        /// The reason.
        reason: String,
    },
    /// The job failed for good.
    JobFailed {
        /// The error.
        error: String,
    },
    /// The job has nothing left to run.
    JobFinished,
    /// A job was added while the host ran.
    JobAdded {
        /// Path of the plugin.
        plugin: String,
        /// SHA-256 of the plugin, in hex.
        sha256: String,
    },
    /// A job changed while the host ran; `from` is the time from which the change is in force.
    JobChanged(ChangedJob),
    /// A job was removed while the host ran; its run is being stopped.
    JobRemoved,
    /// A process begins to compile a plugin.
    PluginCompiling(CompileStart),
    /// A plugin is loaded.
    PluginReady(LoadEnd),
    /// A plugin, or its sidecar file, cannot be used. An earlier version goes on.
    PluginRefused {
        /// Path of the file.
        file: String,
        /// The error.
        error: String,
        /// True if an earlier version goes on.
        kept: bool,
    },
    /// The configuration was read again and cannot be used. Everything goes on as before.
    ConfigRefused {
        /// The error.
        error: String,
    },
    /// The file or folder of the configuration is missing. Everything goes on as before.
    ConfigGone {
        /// Path of the file.
        file: String,
    },
    /// A signal that would have ended the process was ignored.
    SignalIgnored {
        /// Name of the signal.
        signal: &'static str,
    },
    /// The configuration was read again.
    ConfigReloaded(ReloadCounts),
    /// The job is paused by an operator; without a job, all jobs are. No new run starts.
    Paused {
        /// The operator.
        by: String,
        /// The operator's reason.
        #[serde(skip_serializing_if = "String::is_empty")]
        why: String,
        /// The time when the pause ends by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
    /// A pause of the job has ended; without a job, that of all jobs.
    Resumed,
    /// The host is drained by an operator: it starts no new run.
    Drained {
        /// The operator.
        by: String,
        /// The operator's reason.
        #[serde(skip_serializing_if = "String::is_empty")]
        why: String,
        /// True if the host ends when its last run has ended.
        ends: bool,
    },
    /// The drain of the host has ended.
    Undrained,
    /// An operator requested the end of the run.
    StopRequested {
        /// `stop`, or `restart` for another run at once.
        kind: &'static str,
        /// The operator; empty for a new version of the job that takes effect at once.
        #[serde(skip_serializing_if = "String::is_empty")]
        by: String,
        /// The reason.
        #[serde(skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// The host took a run that an operator requested.
    Triggered {
        /// Id of the request.
        trigger: String,
        /// The operator.
        by: String,
        /// The operator's reason.
        #[serde(skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// The host refused a run that an operator requested.
    TriggerRefused {
        /// Id of the request.
        trigger: String,
        /// The operator.
        by: String,
        /// The reason.
        reason: String,
    },
    /// Orders of operators cannot be read; the host goes on as if there were none.
    ControlUnread {
        /// The error.
        error: String,
    },
    /// The host was requested to stop.
    HostStopping {
        /// The reason.
        reason: String,
    },
    /// The host has stopped.
    HostStopped,
    /// A note of a command, without a host.
    Note {
        /// The text.
        text: String,
    },
    /// Records of runs were dropped, so that `leasehold runs` does not show them. Logged once a burst.
    RecordsDropped {
        /// Number of records.
        count: u64,
        /// The reason.
        reason: String,
    },
    /// Messages of `[notify]` cannot be delivered. Logged once a cause.
    NotifyFailed(NotifyFailure),
    /// Traces do not reach the collector of `[otlp]`. Logged once an outage.
    TracesFailed(TraceOutage),
    /// The collector takes traces again.
    TracesBack(TraceReturn),
    /// Lines were dropped, because the reader of the log is slow.
    LinesDropped {
        /// Number of lines.
        count: u64,
    },
}

#[cfg(test)]
mod tests;
