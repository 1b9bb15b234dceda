//! The event log: events of one host, or of several in one process, for every sink. The first sink writes them as
//! lines.

mod columns;
mod form;
mod line;
mod sentence;
mod sink;
mod story;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use leasehold_lock::{BootTime, Clock, Token};
use leasehold_records::RunRecord;
use leasehold_runtime::RunTrace;

pub use form::Form;
pub use sink::{EventSink, JobView, RunStart};
pub use writer::Out;

use crate::event::{Event, EventContext, EventKind};
use crate::event_level::EventLevel;
use writer::LineWriter;

/// Handle for logging the events of one host. Cheap to clone; handles of several hosts may share the sinks.
#[derive(Clone)]
pub struct EventLog {
    host: Arc<str>,
    muted: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    sinks: Vec<Box<dyn EventSink>>,
}

impl EventLog {
    /// Starts a log whose events of this level, and more important ones, are written as lines.
    ///
    /// # Errors
    ///
    /// The writing thread cannot be started.
    pub fn start(
        clock: Arc<dyn Clock>,
        lines: (Form, EventLevel),
        host: &str,
        out: Out,
    ) -> io::Result<Self> {
        Self::start_with(clock, lines, host, out, Vec::new())
    }

    /// Starts a log whose events of this level are written as lines, and all of whose events go to these sinks too.
    ///
    /// # Errors
    ///
    /// The writing thread cannot be started.
    pub fn start_with(
        clock: Arc<dyn Clock>,
        (form, level): (Form, EventLevel),
        host: &str,
        out: Out,
        others: Vec<Box<dyn EventSink>>,
    ) -> io::Result<Self> {
        let writer = LineWriter::start(form, level, out)?;
        let mut sinks: Vec<Box<dyn EventSink>> = vec![Box::new(writer)];
        sinks.extend(others);
        Ok(Self::with_sinks(clock, host, sinks))
    }

    /// A log whose events go to these sinks.
    pub fn with_sinks(clock: Arc<dyn Clock>, host: &str, sinks: Vec<Box<dyn EventSink>>) -> Self {
        Self {
            host: host.into(),
            muted: Arc::default(),
            shared: Arc::new(Shared { clock, sinks }),
        }
    }

    /// Returns a handle to the same log for another host.
    #[must_use]
    pub fn of(&self, host: &str) -> Self {
        Self {
            host: host.into(),
            muted: Arc::default(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Discards all later events of this host, as if it had died. Affects only its own clones, never handles made
    /// with [`EventLog::of`].
    pub fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }

    /// Logs an event that happened now.
    pub fn emit(&self, context: EventContext, kind: EventKind) {
        self.emit_at(self.shared.clock.now(), context, kind);
    }

    /// Logs an event that happened at an earlier moment.
    pub fn emit_at(&self, at: BootTime, context: EventContext, kind: EventKind) {
        if self.muted.load(Ordering::Relaxed) {
            return;
        }
        let age = self.shared.clock.now().since(at);
        let wall = SystemTime::now();
        let event = Arc::new(Event {
            host: self.host.clone(),
            at,
            wall: wall.checked_sub(age).unwrap_or(wall),
            context,
            kind,
        });
        for sink in &self.shared.sinks {
            sink.receive(&event);
        }
    }

    /// Passes the state of a job of this host to the sinks. It is not an event, and no line is written.
    pub(crate) fn job_changed(&self, job: &JobView<'_>) {
        if !self.muted.load(Ordering::Relaxed) {
            for sink in &self.shared.sinks {
                sink.job_changed(&self.host, job);
            }
        }
    }

    /// Passes a run that is about to start to the sinks, and returns its trace, if one of them makes it. It is not an
    /// event, and no line is written.
    pub(crate) fn begin_run(&self, run: &RunStart<'_>) -> Option<RunTrace> {
        if self.muted.load(Ordering::Relaxed) {
            return None;
        }
        let mut sinks = self.shared.sinks.iter();
        sinks.find_map(|sink| sink.run_begins(&self.host, run))
    }

    /// Returns the host whose events these are.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Passes a failed run of another host to the sinks.
    pub(crate) fn failed_elsewhere(&self, run: &RunRecord, success: Option<Token>) {
        if !self.muted.load(Ordering::Relaxed) {
            for sink in &self.shared.sinks {
                sink.failed_elsewhere(&self.host, run, success);
            }
        }
    }

    /// Reports to the sinks that a job of this host is gone.
    pub(crate) fn job_gone(&self, job: &str) {
        if !self.muted.load(Ordering::Relaxed) {
            for sink in &self.shared.sinks {
                sink.job_gone(&self.host, job);
            }
        }
    }

    /// Returns the number of events that sinks have dropped, such as lines that found no reader.
    pub fn dropped(&self) -> u64 {
        self.shared.sinks.iter().map(|sink| sink.dropped()).sum()
    }

    /// Writes the remaining lines, unless the output is stuck, and ends the sinks.
    pub fn finish(&self) {
        for sink in &self.shared.sinks {
            sink.finish();
        }
    }
}
