//! The output of one run, as far as it is in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use leasehold_records::{OutputEnd, OutputLine, OutputStream, RunKey, RunRecord, UnixMs};
use leasehold_runtime::{Line, OutputTap, Stream};

use super::file_queue::FileQueue;
use super::recent_lines::{LineSlice, RecentLines};

/// Memory of one run's last lines.
const RECENT: usize = 32 << 10;

/// The last output of one run. The guest adds lines; others read them.
#[derive(Debug)]
pub(crate) struct RunOutput {
    pub(super) key: RunKey,
    /// Its record while it runs.
    pub(super) record: RunRecord,
    /// Bytes of output that its record keeps.
    kept: usize,
    /// Files with all of its output.
    files: Option<FileQueue>,
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
    pub(super) fn new(record: RunRecord, kept: usize, files: Option<FileQueue>) -> Self {
        Self {
            key: record.key(),
            record,
            kept,
            files,
            state: Mutex::new(OutputState {
                recent: RecentLines::new(RECENT),
                end: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the run's beginning in the files.
    pub(super) fn began(&self) {
        if let Some(files) = &self.files {
            let RunRecord {
                host,
                attempt,
                started_unix_ms,
                ..
            } = &self.record;
            let text = format!("run began on {host} (attempt {attempt})");
            files.note(&self.key, *started_unix_ms, &text);
        }
    }

    /// Sets the run's end. No line follows.
    pub(super) fn end(&self, end: OutputEnd) {
        if let Some(files) = &self.files {
            let detail = match end.detail.as_str() {
                "" => String::new(),
                detail => format!(" ({detail})"),
            };
            let text = format!("run ended: {}{detail}", end.outcome.as_str());
            files.note(&self.key, end.at_unix_ms, &text);
        }
        self.state().end = Some(end);
    }

    /// Returns the position after the last line.
    pub(super) fn end_byte(&self) -> u64 {
        self.state().recent.end_byte()
    }

    /// Returns the run's record with the end of the output so far: what its record would keep, as far as it is in
    /// memory.
    pub(super) fn unended_record(&self) -> RunRecord {
        let (output, before) = self.state().recent.tail(self.kept);
        RunRecord {
            output,
            output_truncated_bytes: before,
            ..self.record.clone()
        }
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
        if let Some(files) = &self.files {
            files.line(&self.key, &line);
        }
        self.state().recent.push(line);
    }
}
