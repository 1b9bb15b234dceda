//! Sinks of events.

use std::sync::Arc;

use crate::event::Event;

/// Consumer of the events of a process, such as the writer of its log.
///
/// Sinks are called one after the other, by the thread on which the event happened: a guest's worker, or the
/// supervisor. A sink that is full drops the event and counts it; it never waits.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn receive(&self, event: &Arc<Event>);

    /// Handles what it still holds, within a second. Later events are dropped.
    fn finish(&self) {}
}
