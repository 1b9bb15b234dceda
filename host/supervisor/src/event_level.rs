//! Levels of events: the attention that each needs.

use serde::Serialize;

use crate::event::{EventKind, SkipCause};

/// Attention that an event needs; the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventLevel {
    /// A failure that an operator has to end.
    Error,
    /// Something that may need an operator.
    Warn,
    /// Events of the host and of runs on it.
    Info,
    /// Events of jobs that wait, or that other hosts run.
    Debug,
}

impl EventKind {
    /// Returns the level of the event.
    pub fn level(&self) -> EventLevel {
        use EventLevel::{Debug, Error, Info, Warn};
        match self {
            Self::IdLost { .. }
            | Self::Quarantined { .. }
            | Self::JobFailed { .. }
            | Self::PluginRefused { .. }
            | Self::ConfigRefused { .. }
            | Self::ControlUnread { .. } => Error,
            Self::StoreTrouble { .. }
            | Self::StoreLost { .. }
            | Self::IdTaken { .. }
            | Self::LockLost { .. }
            | Self::TickUnmarked { .. }
            | Self::TickDisbelieved(_)
            | Self::TicksMissed(_)
            | Self::RunAbandoned(_)
            | Self::NotifyFailed(_)
            | Self::TracesFailed(_)
            | Self::StandingBack { .. }
            | Self::Backoff { .. }
            | Self::ConfigGone { .. }
            | Self::SignalIgnored { .. }
            | Self::TriggerRefused { .. }
            | Self::RecordsDropped { .. }
            | Self::LinesDropped { .. } => Warn,
            Self::RunEnded { outcome, .. } => level_of_outcome(outcome),
            Self::Waiting { .. }
            | Self::Blocked { .. }
            | Self::Skipped {
                cause: SkipCause::AlreadyRun,
                ..
            } => Debug,
            Self::HostStarted { .. }
            | Self::HttpListening { .. }
            | Self::StoreConnected { .. }
            | Self::StoreOpened { .. }
            | Self::StoreClosed
            | Self::StoreBack { .. }
            | Self::TracesBack(_)
            | Self::IdBusy { .. }
            | Self::IdRegained { .. }
            | Self::Acquired { .. }
            | Self::RunStarted { .. }
            | Self::Guest { .. }
            | Self::Progress { .. }
            | Self::Released { .. }
            | Self::Skipped {
                cause: SkipCause::Missed | SkipCause::Contended | SkipCause::Held,
                ..
            }
            | Self::JobFinished
            | Self::JobAdded { .. }
            | Self::JobChanged(_)
            | Self::JobRemoved
            | Self::PluginCompiling(_)
            | Self::PluginReady(_)
            | Self::ConfigReloaded(_)
            | Self::Paused { .. }
            | Self::Resumed
            | Self::Drained { .. }
            | Self::Undrained
            | Self::StopRequested { .. }
            | Self::Triggered { .. }
            | Self::HostStopping { .. }
            | Self::HostStopped
            | Self::Note { .. } => Info,
        }
    }
}

/// The level of the end of a run.
fn level_of_outcome(outcome: &str) -> EventLevel {
    match outcome {
        "done" | "again" | "stopped" => EventLevel::Info,
        _ => EventLevel::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_that_only_waits_logs_at_debug() {
        let waiting = EventKind::Waiting {
            place: 1,
            holder: None,
        };
        let skipped = |cause| EventKind::Skipped {
            reason: "run by b".into(),
            cause,
        };
        assert_eq!(waiting.level(), EventLevel::Debug);
        assert_eq!(skipped(SkipCause::AlreadyRun).level(), EventLevel::Debug);
        assert_eq!(skipped(SkipCause::Missed).level(), EventLevel::Info);
        assert!(EventLevel::Error < EventLevel::Debug);
    }
}
