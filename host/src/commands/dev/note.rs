//! Remarks of `dev` in the event log.

use leasehold_supervisor::event::{EventContext, EventKind};
use leasehold_supervisor::event_log::EventLog;

/// Logs an action or observation of this command.
pub(super) fn note(event_log: &EventLog, text: String) {
    event_log.emit(EventContext::default(), EventKind::Note { text });
}
