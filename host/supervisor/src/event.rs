//! What the host has to say, as data. One stream of these feeds every output.
//!
//! The JSON form is an interface: names and meanings of fields stay.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::BootTime;
use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The host that says so.
    pub(crate) host: Arc<str>,
    /// When, on the boot-time clock.
    pub(crate) at: BootTime,
    /// When, for people.
    pub(crate) wall: SystemTime,
    /// What it is about.
    pub(crate) about: About,
    /// What happened.
    pub(crate) what: What,
}

/// What an event is about. Every part may be absent.
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

/// What can happen.
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
        /// The end of our client certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate_until: Option<String>,
    },
    /// The embedded store is open; `data` says where its data is.
    StoreOpened {
        data: String,
        endpoints: Vec<String>,
    },
    StoreClosed,
    StoreTrouble {
        error: String,
    },
    /// An outage: nothing was answered for this long.
    StoreLost {
        silent_ms: u64,
    },
    /// The end of an outage, and how long it took in all.
    StoreBack {
        away_ms: u64,
    },
    /// The host's id is held, perhaps by a host that has crashed: its lease tells.
    IdBusy {
        id: String,
        holder: String,
    },
    /// The host's id is held by another process on the same data directory, so this one has another.
    IdTaken {
        id: String,
        name: String,
        holder: String,
    },
    /// Another host took the id while the lease was gone.
    IdLost {
        id: String,
        holder: String,
    },
    /// The id is held again.
    IdRegained {
        id: String,
    },
    Waiting {
        /// Entries ahead of ours.
        place: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// It has waited for a while.
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
        /// The tick that it is for.
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
    /// The run for a tick has ended, and that could not be written down: it may be run again.
    TickUnmarked {
        tick: String,
        error: String,
    },
    /// Something that the job needs is lacking on this host; its locks are left to other hosts.
    StandingBack {
        reason: String,
    },
    /// The process died in the first run of a plugin, which is not run again before `until` or the removal of
    /// `file`.
    Quarantined {
        sha256: String,
        until: String,
        file: String,
    },
    /// A tick that a host with a wrong clock had claimed; it was written over.
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
    /// A job that came while the host ran.
    JobAdded {
        plugin: String,
        sha256: String,
    },
    /// A job that changed while the host ran; `from` says since when that counts.
    JobChanged {
        plugin: String,
        sha256: String,
        from: &'static str,
        /// Why another file makes the job now.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A job that went while the host ran; what it runs is being stopped.
    JobRemoved,
    /// A plugin, or what stands beside it, that cannot be used. What ran before goes on.
    PluginRefused {
        file: String,
        error: String,
        /// Whether an earlier version goes on.
        kept: bool,
    },
    /// The configuration was read again and cannot be used. Everything goes on as before.
    ConfigRefused {
        error: String,
    },
    /// The configuration is no longer where it was. Everything goes on as before.
    ConfigGone {
        file: String,
    },
    /// A signal that would have ended the process came and was ignored.
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
    /// Something that a command did or saw, and no host.
    Note {
        text: String,
    },
    LinesDropped {
        count: u64,
    },
}
