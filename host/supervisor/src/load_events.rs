//! Observer of a runtime's loads that logs them as events of a host.

use leasehold_runtime::{LoadObserver, LoadStep, ObservedPlugin};

use crate::event::{CompileStart, EventContext, EventKind, LoadEnd};
use crate::event_log::EventLog;

/// Logs loads.
pub struct LoadEvents {
    event_log: EventLog,
    is_shown: bool,
}

impl LoadEvents {
    /// Logs to `event_log`. `is_shown`: a command shows the loads on standard error too.
    pub const fn new(event_log: EventLog, is_shown: bool) -> Self {
        Self {
            event_log,
            is_shown,
        }
    }
}

impl LoadObserver for LoadEvents {
    fn observe(&self, plugin: &ObservedPlugin<'_>, step: &LoadStep) {
        let (file, is_shown) = (plugin.path.display().to_string(), self.is_shown);
        let kind = match step {
            LoadStep::Compiling { size_bytes } => EventKind::PluginCompiling(CompileStart {
                file,
                size_bytes: *size_bytes,
                is_shown,
            }),
            LoadStep::Ready {
                sha256,
                took,
                is_cached,
            } => EventKind::PluginReady(LoadEnd {
                file,
                sha256: sha256.clone(),
                took_ms: leasehold_records::whole_millis(*took),
                cached: *is_cached,
                is_shown,
            }),
            // The caller of the load reports the refusal.
            LoadStep::Refused => return,
        };
        let context = EventContext {
            job: Some(plugin.job.into()),
            ..EventContext::default()
        };
        self.event_log.emit(context, kind);
    }
}
