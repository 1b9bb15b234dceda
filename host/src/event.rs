//! Events of a host, as data. One stream of these feeds every output.
//!
//! The JSON form is an interface: names and meanings of fields stay.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::BootTime;
use serde::Serialize;

/// An event with its host and time.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The host that logs it.
    pub(crate) host: Arc<str>,
    /// Time on the boot-time clock.
    pub(crate) at: BootTime,
    /// Wall time, for people.
    pub(crate) wall: SystemTime,
    /// The job, lock, token and run that it is about.
    pub(crate) about: About,
    /// Kind of the event, with its fields.
    pub(crate) what: What,
}

/// Context of an event: the job, lock, token and run. Every part may be absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lock: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<Arc<str>>,
}

/// Kinds of events, with their fields.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum What {
    HostStarted {
        pid: u32,
        version: &'static str,
        jobs: usize,
    },
    StoreConnected {
        endpoint: String,
        cluster_id: String,
        /// The end of the host's client certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate_until: Option<String>,
    },
    /// The embedded store is open; `data` describes the place of its data.
    StoreOpened {
        data: String,
        endpoints: Vec<String>,
    },
    StoreClosed,
    StoreTrouble {
        error: String,
    },
    /// An outage has begun: the store has answered nothing for this long.
    StoreLost {
        silent_ms: u64,
    },
    /// An outage has ended; the field is its whole length.
    StoreBack {
        away_ms: u64,
    },
    /// The host's id is held, perhaps by a host that has crashed. The end of its lease will show it.
    IdBusy {
        id: String,
        holder: String,
    },
    /// The host's id is held by another process on the same data directory, so this process has another id.
    IdTaken {
        id: String,
        name: String,
        holder: String,
    },
    /// Another host took the id after the lease had ended.
    IdLost {
        id: String,
        holder: String,
    },
    /// The host holds the id again.
    IdRegained {
        id: String,
    },
    Waiting {
        /// Number of entries ahead of the job's own.
        place: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// The job has waited for a while.
    Blocked {
        /// The job and the host that hold the lock.
        by: String,
        holder: String,
    },
    Acquired {
        wait_ms: u64,
    },
    RunStarted {
        attempt: u32,
        trigger: &'static str,
        /// The tick of the run.
        #[serde(skip_serializing_if = "Option::is_none")]
        tick: Option<String>,
        plugin_sha256: String,
    },
    Guest {
        stream: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        level: Option<&'static str>,
        text: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<(String, String)>,
    },
    Progress {
        done: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        message: String,
    },
    LockLost {
        reason: String,
    },
    RunEnded {
        outcome: &'static str,
        detail: String,
        admitted: u64,
        refused: u64,
        started_ns: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        first_admitted_ns: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_admitted_ns: Option<u64>,
        stopped_ns: u64,
        deadline_ns: u64,
    },
    Released {
        confirmed: bool,
    },
    Skipped {
        reason: String,
    },
    /// The run for a tick has ended, and the mark could not be written: the tick may be run again.
    TickUnmarked {
        tick: String,
        error: String,
    },
    /// The host lacks something that the job needs; its lock is left to other hosts.
    StandingBack {
        reason: String,
    },
    /// The process died in the first run of a plugin. The plugin is not run again before `until` or the removal of
    /// `file`.
    Quarantined {
        sha256: String,
        until: String,
        file: String,
    },
    /// A tick that a host with a wrong clock had claimed was overwritten.
    TickDisbelieved {
        tick: String,
        by: String,
        its_clock: String,
        our_clock: String,
    },
    Backoff {
        delay_ms: u64,
        reason: String,
    },
    JobFailed {
        error: String,
    },
    JobFinished,
    /// A job was added while the host ran.
    JobAdded {
        plugin: String,
        sha256: String,
    },
    /// A job changed while the host ran; `from` is the time from which the change is in force.
    JobChanged {
        plugin: String,
        sha256: String,
        from: &'static str,
        /// Reason for which another file defines the job now.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A job was removed while the host ran; its run is being stopped.
    JobRemoved,
    /// A plugin, or its sidecar file, cannot be used. An earlier version goes on.
    PluginRefused {
        file: String,
        error: String,
        /// True if an earlier version goes on.
        kept: bool,
    },
    /// The configuration was read again and cannot be used. Everything goes on as before.
    ConfigRefused {
        error: String,
    },
    /// The file or folder of the configuration is missing. Everything goes on as before.
    ConfigGone {
        file: String,
    },
    /// A signal that would have ended the process was ignored.
    SignalIgnored {
        signal: &'static str,
    },
    /// The configuration was read again.
    ConfigReloaded {
        added: usize,
        changed: usize,
        removed: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        restart: Option<String>,
    },
    HostStopping {
        reason: String,
    },
    HostStopped,
    /// A note of a command, without a host.
    Note {
        text: String,
    },
    LinesDropped {
        count: u64,
    },
}
