//! The output of one run, as far as it is in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use leasehold_records::{OutputEnd, OutputLine, OutputStream, RunKey, UnixMs};
use leasehold_runtime::{Line, OutputTap, Stream};

use super::recent_lines::{LineSlice, RecentLines};

/// Memory of one run's last lines.
const RECENT: usize = 32 << 10;

/// The run that an output is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunAbout {
    pub(crate) key: RunKey,
    pub(crate) host: String,
    pub(crate) attempt: u32,
    pub(crate) started_unix_ms: UnixMs,
}

/// The last output of one run. The guest adds lines; others read them.
#[derive(Debug)]
pub(crate) struct RunOutput {
    pub(super) about: RunAbout,
    state: Mutex<OutputState>,
}

#[derive(Debug)]
struct OutputState {
    recent: RecentLines,
    end: Option<OutputEnd>,
}

/// Output that a reader does not have yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutputNews {
    pub(super) slice: LineSlice,
    /// The run's end, if the slice reaches it.
    pub(super) end: Option<OutputEnd>,
}

impl RunOutput {
    pub(super) fn new(about: RunAbout) -> Self {
        Self {
            about,
            state: Mutex::new(OutputState {
                recent: RecentLines::new(RECENT),
                end: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the run's end. No line follows.
    pub(super) fn end(&self, end: OutputEnd) {
        self.state().end = Some(end);
    }

    /// Returns true if there are lines from this position on, or the run has ended.
    pub(super) fn has_news(&self, from: u64) -> bool {
        let state = self.state();
        state.recent.end_byte() > from || state.end.is_some()
    }

    /// Returns the output from this position on, up to `most_bytes`.
    pub(super) fn news(&self, from: u64, most_bytes: usize) -> OutputNews {
        let state = self.state();
        let slice = state.recent.slice(from, most_bytes);
        let end = state.end.clone().filter(|_| !slice.more);
        OutputNews { slice, end }
    }
}

impl OutputTap for RunOutput {
    fn line(&self, line: &Line) {
        let line = OutputLine {
            at_unix_ms: UnixMs::from_system(SystemTime::now()),
            stream: match line.stream {
                Stream::Stdout => OutputStream::Stdout,
                Stream::Stderr => OutputStream::Stderr,
                Stream::Log => OutputStream::Log,
            },
            level: line.level.map(|level| level.as_str().to_owned()),
            text: line.text.clone(),
        };
        self.state().recent.push(line);
    }
}
