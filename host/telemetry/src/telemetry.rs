//! [`Telemetry`]: the handle to the collected state of all hosts of a process.

use std::sync::Arc;

use leasehold_lock::{Clock, LockObserver};
use leasehold_supervisor::event_log::{EventLog, EventSink};

use crate::observer::HostObserver;
use crate::process_state::{BuildInfo, ProcessState};
use crate::sink::MetricsSink;
use crate::traces::Tracer;

/// Reports of all hosts of one process. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry(pub(crate) Arc<ProcessState>);

impl Telemetry {
    /// State of a process that has just started.
    pub fn new(build: BuildInfo, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(ProcessState::new(build, clock)))
    }

    /// Adds a host that is about to load its plugins.
    pub fn add_host(&self, host: &str) {
        self.0.host(host);
    }

    /// The plugins of this host are loaded.
    pub fn set_plugins_loaded(&self, host: &str) {
        self.0.host(host).health().set_plugins_loaded();
    }

    /// Returns the sink for the event log of the process.
    pub fn sink(&self) -> Box<dyn EventSink> {
        Box::new(MetricsSink::new(self.0.clone()))
    }

    /// Counts the lines that this log drops.
    pub fn watch_log(&self, event_log: &EventLog) {
        self.0.watch_log(event_log);
    }

    /// Shows how many spans this tracer has sent and dropped.
    pub fn watch_traces(&self, tracer: &Tracer) {
        self.0.watch_traces(tracer.counts());
    }

    /// Returns the observer for the lock client of this host.
    pub fn observer(&self, host: &str) -> Arc<dyn LockObserver> {
        Arc::new(HostObserver::new(self.0.clone(), self.0.host(host)))
    }
}
