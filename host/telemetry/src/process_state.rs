//! [`ProcessState`]: what all hosts of a process have reported.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use leasehold_lock::{BootTime, Clock};
use leasehold_supervisor::event_log::EventLog;

use crate::host_state::HostState;
use crate::traces::TraceCounts;

/// Time without a heartbeat of the main runtime after which the process counts as stuck. Guests yield at each tick
/// of the watchdog, so that a busy machine delays a heartbeat by moments.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Version of the program, for `leasehold_build_info` and `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of Leasehold.
    pub version: &'static str,
    /// Version of the contract between host and guests.
    pub contract: &'static str,
}

/// State of the process.
pub(crate) struct ProcessState {
    pub(crate) build: BuildInfo,
    pub(crate) started: SystemTime,
    pub(crate) clock: Arc<dyn Clock>,
    hosts: RwLock<BTreeMap<Arc<str>, Arc<HostState>>>,
    event_log: OnceLock<EventLog>,
    trace_counts: OnceLock<Arc<TraceCounts>>,
    /// Last heartbeat of the main runtime, in nanoseconds of boot time.
    heartbeat: AtomicU64,
    /// Connections that were closed at once, because too many were open.
    pub(crate) refused_connections: AtomicU64,
}

impl ProcessState {
    /// State of a process that has just started.
    pub(crate) fn new(build: BuildInfo, clock: Arc<dyn Clock>) -> Self {
        let heartbeat = AtomicU64::new(clock.now().as_nanos());
        Self {
            build,
            started: SystemTime::now(),
            clock,
            hosts: RwLock::default(),
            event_log: OnceLock::new(),
            trace_counts: OnceLock::new(),
            heartbeat,
            refused_connections: AtomicU64::new(0),
        }
    }

    /// Counts the lines that this log drops.
    pub(crate) fn watch_log(&self, event_log: &EventLog) {
        let _ = self.event_log.set(event_log.clone());
    }

    /// Shows these counts of spans.
    pub(crate) fn watch_traces(&self, counts: &Arc<TraceCounts>) {
        let _ = self.trace_counts.set(counts.clone());
    }

    /// Returns the state of a host; a new one if it is not known.
    pub(crate) fn host(&self, host: &str) -> Arc<HostState> {
        if let Some(known) = self.read().get(host) {
            return known.clone();
        }
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(HostState::new());
        hosts.entry(host.into()).or_insert_with(new).clone()
    }

    /// The host goes on under another name.
    pub(crate) fn rename_host(&self, old: &str, new: &str) {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.remove(old) {
            hosts.insert(new.into(), host);
        }
    }

    /// Returns all hosts, by name.
    pub(crate) fn hosts(&self) -> Vec<(Arc<str>, Arc<HostState>)> {
        let hosts = self.read();
        hosts
            .iter()
            .map(|(name, host)| (name.clone(), host.clone()))
            .collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<HostState>>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of lines that the event log has dropped.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.event_log.get().map_or(0, EventLog::dropped)
    }

    /// Returns the counts of spans, if runs are traced.
    pub(crate) fn trace_counts(&self) -> Option<&TraceCounts> {
        self.trace_counts.get().map(|counts| &**counts)
    }

    /// Records that the main runtime makes progress.
    pub(crate) fn beat(&self) {
        let now = self.clock.now().as_nanos();
        self.heartbeat.store(now, Ordering::Relaxed);
    }

    /// Returns the time since the last heartbeat, if it is too long.
    pub(crate) fn stuck_for(&self) -> Option<Duration> {
        let last = BootTime::from_nanos(self.heartbeat.load(Ordering::Relaxed));
        let silent = self.clock.now().since(last);
        (silent >= STUCK_AFTER).then_some(silent)
    }
}
