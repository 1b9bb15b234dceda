//! The queue between guests and the thread that writes files.
//!
//! A guest adds a line and goes on. A queue that is full drops lines and counts their bytes, for each job.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leasehold_records::{OutputLine, RunKey, UnixMs, printable};

/// Bytes that may wait for the disk.
const MOST: usize = 4 << 20;
/// Stream of notes.
const NOTE: &str = "--";
/// Memory that an entry takes beyond its text.
const OVERHEAD: usize = 64;

/// The queue. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

/// Lines that wait, and the bytes that found no room, by job.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) lines: VecDeque<(String, String)>,
    pub(super) dropped: BTreeMap<String, u64>,
    bytes: usize,
    /// True if the thread was woken for these lines.
    is_woken: bool,
    pub(super) is_closed: bool,
}

impl FileQueue {
    /// Adds a line of a run.
    pub(super) fn line(&self, run: &RunKey, line: &OutputLine) {
        let stream = line.stream.as_str();
        let is_first = match line.level.as_deref() {
            Some(level) => {
                let text = format_args!("{level}: {}", line.text);
                self.push(run, line.at_unix_ms, stream, &text)
            }
            None => self.push(run, line.at_unix_ms, stream, &line.text),
        };
        if is_first {
            self.0.filled.notify_one();
        }
    }

    /// Adds a note about a run. The writing thread is not woken, so that a run's start does not wait for that: it
    /// takes the note with the next line, or within a second.
    pub(super) fn note(&self, run: &RunKey, at: UnixMs, text: &str) {
        self.push(run, at, NOTE, &printable::line(text));
    }

    /// Adds a text. Returns true if the writing thread is to be woken for it.
    fn push(&self, run: &RunKey, at: UnixMs, stream: &str, text: &dyn Display) -> bool {
        let text = format!("{at} {} {stream} {text}\n", run.name());
        let is_line = stream != NOTE;
        let mut waiting = self.waiting();
        let size = text.len() + run.job.len() + OVERHEAD;
        if waiting.bytes + size > MOST || waiting.is_closed {
            let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            *waiting.dropped.entry(run.job.clone()).or_default() += bytes;
            return false;
        }
        waiting.bytes += size;
        waiting.lines.push_back((run.job.clone(), text));
        is_line && !std::mem::replace(&mut waiting.is_woken, is_line)
    }

    /// Takes all that waits; waits for it until `deadline`, or until the queue is closed.
    pub(super) fn take(&self, deadline: Instant) -> Waiting {
        let mut waiting = self.waiting();
        while !waiting.is_woken && !waiting.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            let waited = self.0.filled.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_closed = waiting.is_closed;
        let taken = std::mem::take(&mut *waiting);
        waiting.is_closed = is_closed;
        taken
    }

    /// Ends the queue. Later lines are dropped.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.0.filled.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use leasehold_lock::Token;

    use super::*;

    #[test]
    fn full_queue_drops_lines_and_counts_their_bytes() {
        let queue = FileQueue::default();
        let run = RunKey {
            job: "j".into(),
            token: Token::new(7),
            sequence: 0,
        };
        let text = "x".repeat(1_000);
        for _ in 0..10_000 {
            queue.note(&run, UnixMs::new(1_000), &text);
        }
        let waiting = queue.take(Instant::now());
        let written: usize = waiting.lines.iter().map(|(_, text)| text.len()).sum();
        let each = waiting.lines[0].1.len();
        assert!(written <= MOST, "{written}");
        let dropped = waiting.dropped["j"];
        assert_eq!(written as u64 + dropped, 10_000 * each as u64);
        queue.note(&run, UnixMs::new(1_000), "later");
        let lines = queue.take(Instant::now()).lines;
        assert_eq!(lines[0].1, "1970-01-01T00:00:01Z 7 -- later\n");
    }

    /// Fails when the start of a run wakes the thread that writes files.
    #[test]
    fn note_waits_for_the_next_line() {
        let queue = FileQueue::default();
        let run = RunKey {
            job: "j".into(),
            token: Token::new(7),
            sequence: 0,
        };
        queue.note(&run, UnixMs::new(1_000), "run began");
        assert!(!queue.waiting().is_woken);
        let line = OutputLine {
            at_unix_ms: UnixMs::new(1_000),
            stream: leasehold_records::OutputStream::Log,
            level: Some("info".into()),
            text: "text".into(),
        };
        queue.line(&run, &line);
        assert!(queue.waiting().is_woken);
        let lines = queue.take(Instant::now() + Duration::from_mins(1)).lines;
        assert_eq!(lines[1].1, "1970-01-01T00:00:01Z 7 log info: text\n");
        assert!(!queue.waiting().is_woken);
    }
}
