//! What the host has to say, as data. One stream of these feeds every output.
//!
//! The JSON form is an interface: names and meanings of fields stay.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::BootTime;
use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// The host that says so.
    pub host: Arc<str>,
    /// When, on the boot-time clock.
    pub at: BootTime,
    /// When, for people.
    pub wall: SystemTime,
    /// What it is about.
    pub about: About,
    /// What happened.
    pub what: What,
}

/// What an event is about. Every part may be absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// Name of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Arc<str>>,
    /// Name of the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Arc<str>>,
    /// Fencing token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// Id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Arc<str>>,
}

/// What can happen.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
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
        /// The end of our client certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate_until: Option<String>,
    },
    /// The embedded store is open; `data` says where its data is.
    StoreOpened {
        /// Place of its data.
        data: String,
        /// Endpoints that it listens on.
        endpoints: Vec<String>,
    },
    /// The embedded store is closed.
    StoreClosed,
    /// The store cannot be reached yet.
    StoreTrouble {
        /// The error.
        error: String,
    },
    /// An outage: nothing was answered for this long.
    StoreLost {
        /// Time without an answer, in milliseconds.
        silent_ms: u64,
    },
    /// The end of an outage, and how long it took in all.
    StoreBack {
        /// Length of the outage, in milliseconds.
        away_ms: u64,
    },
    /// The host's id is held, perhaps by a host that has crashed: its lease tells.
    IdBusy {
        /// The id.
        id: String,
        /// Its holder, for people.
        holder: String,
    },
    /// The host's id is held by another process on the same data directory, so this one has another.
    IdTaken {
        /// The id.
        id: String,
        /// The name that this host has instead.
        name: String,
        /// Its holder, for people.
        holder: String,
    },
    /// Another host took the id while the lease was gone.
    IdLost {
        /// The id.
        id: String,
        /// Its holder, for people.
        holder: String,
    },
    /// The id is held again.
    IdRegained {
        /// The id.
        id: String,
    },
    /// The job waits in the queue of its lock.
    Waiting {
        /// Entries ahead of ours.
        place: usize,
        /// Its holder, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// It has waited for a while.
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
        /// The tick that it is for.
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
    },
    /// The run for a tick has ended, and that could not be written down: it may be run again.
    TickUnmarked {
        /// Nominal time of the tick.
        tick: String,
        /// The error.
        error: String,
    },
    /// Something that the job needs is lacking on this host; its locks are left to other hosts.
    StandingBack {
        /// The reason.
        reason: String,
    },
    /// The process died in the first run of a plugin, which is not run again before `until` or the removal of
    /// `file`.
    Quarantined {
        /// SHA-256 of the plugin, in hex.
        sha256: String,
        /// End of the quarantine.
        until: String,
        /// Path of the file.
        file: String,
    },
    /// A tick that a host with a wrong clock had claimed; it was written over.
    TickDisbelieved {
        /// Nominal time of the tick.
        tick: String,
        /// The host that claimed it.
        by: String,
        /// Clock of that host.
        its_clock: String,
        /// Clock of this host.
        our_clock: String,
    },
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
    /// A job that came while the host ran.
    JobAdded {
        /// Path of the plugin.
        plugin: String,
        /// SHA-256 of the plugin, in hex.
        sha256: String,
    },
    /// A job that changed while the host ran; `from` says since when that counts.
    JobChanged {
        /// Path of the plugin.
        plugin: String,
        /// SHA-256 of the plugin, in hex.
        sha256: String,
        /// Moment from which the change counts.
        from: &'static str,
        /// Why another file makes the job now.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A job that went while the host ran; what it runs is being stopped.
    JobRemoved,
    /// A plugin, or what stands beside it, that cannot be used. What ran before goes on.
    PluginRefused {
        /// Path of the file.
        file: String,
        /// The error.
        error: String,
        /// Whether an earlier version goes on.
        kept: bool,
    },
    /// The configuration was read again and cannot be used. Everything goes on as before.
    ConfigRefused {
        /// The error.
        error: String,
    },
    /// The configuration is no longer where it was. Everything goes on as before.
    ConfigGone {
        /// Path of the file.
        file: String,
    },
    /// A signal that would have ended the process came and was ignored.
    SignalIgnored {
        /// Name of the signal.
        signal: &'static str,
    },
    /// The configuration was read again.
    ConfigReloaded {
        /// Number of jobs added.
        added: usize,
        /// Number of jobs changed.
        changed: usize,
        /// Number of jobs removed.
        removed: usize,
        /// Changes that need a restart, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        restart: Option<String>,
    },
    /// The host was requested to stop.
    HostStopping {
        /// The reason.
        reason: String,
    },
    /// The host has stopped.
    HostStopped,
    /// Something that a command did or saw, and no host.
    Note {
        /// The text.
        text: String,
    },
    /// Lines were dropped, because the reader of the log is slow.
    LinesDropped {
        /// Number of lines.
        count: u64,
    },
}
