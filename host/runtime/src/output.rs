//! The output of a guest: lines, log and progress.
//!
//! Events are sent over a bounded channel without waiting. They are dropped and counted when the
//! channel is full. Output never blocks a guest, and contains no raw guest bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use leasehold_lock::{BootTime, Clock};
use tokio::sync::{Notify, mpsc};

use super::event::{GuestEvent, Level, Line, Stream};
use super::fault;
use super::gate::Gate;
use super::lines::LineBuffer;
use super::redact::Redactor;
use super::tail::OutputTail;
use super::tap::OutputTap;
use crate::rate::LineRate;
use leasehold_config::limits::Limits;

/// Shortest time between two progress events: ten a second are more than a user can read.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The output of one run.
pub(crate) struct Output {
    clock: Arc<dyn Clock>,
    gate: Arc<Gate>,
    redactor: Arc<Redactor>,
    progress_held: Notify,
    /// Number of libraries' lines that arrived while the state was locked.
    missed: AtomicU64,
    state: Mutex<State>,
}

struct State {
    events: mpsc::Sender<GuestEvent>,
    tap: Option<Arc<dyn OutputTap>>,
    stdout: LineBuffer,
    stderr: LineBuffer,
    tail: OutputTail,
    rate: LineRate,
    progress_sent_at: Option<BootTime>,
    progress: Option<GuestEvent>,
    dropped: u64,
}

/// Total output, for the report.
pub(crate) struct OutputTotal {
    pub(crate) text: String,
    pub(crate) truncated_bytes: u64,
    pub(crate) lines_dropped: u64,
}

impl Output {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        gate: Arc<Gate>,
        limits: &Limits,
        redactor: Arc<Redactor>,
        events: mpsc::Sender<GuestEvent>,
        tap: Option<Arc<dyn OutputTap>>,
    ) -> Self {
        let rate = LineRate::new(limits.log_lines_per_second, clock.now());
        Self {
            clock,
            gate,
            redactor,
            progress_held: Notify::new(),
            missed: AtomicU64::new(0),
            state: Mutex::new(State {
                events,
                tap,
                stdout: LineBuffer::default(),
                stderr: LineBuffer::default(),
                tail: OutputTail::of(limits.output_bytes),
                rate,
                progress_sent_at: None,
                progress: None,
                dropped: 0,
            }),
        }
    }

    /// Takes bytes written to standard output or standard error.
    pub(crate) fn write(&self, stream: Stream, raw: &[u8]) {
        let at = self.gate.entered_at();
        let mut state = self.lock();
        let mut buffer = state.take_buffer(stream);
        buffer.push(raw, &self.redactor, |text| {
            state.line(Line::of(stream, text, at));
        });
        state.put_buffer(stream, buffer);
    }

    /// Takes a structured log line. Field texts must have passed [`Output::clean`].
    pub(crate) fn log(&self, level: Level, text: &str, fields: Vec<(String, String)>) {
        let at = self.gate.entered_at();
        let text = self.clean(text);
        self.lock().line(Line {
            stream: Stream::Log,
            level: Some(level),
            text,
            fields,
            at,
        });
    }

    /// Logs a remark of the host about an action of the guest.
    pub(crate) fn remark(&self, text: &str) {
        self.log(Level::Warn, text, Vec::new());
    }

    /// Takes a line that a library logs on the guest's behalf. It counts as output of the guest, but is not kept for
    /// the record, so that it displaces none of the guest's own output there.
    pub(crate) fn library(&self, level: Level, text: impl FnOnce() -> String) {
        // A library may log while its own caller has locked this state: waiting would be a deadlock.
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        let at = self.gate.entered_at();
        if !state.admits(at) {
            return;
        }
        let text = self.clean(&text());
        state.send(GuestEvent::Line(Line {
            stream: Stream::Log,
            level: Some(level),
            text,
            fields: Vec::new(),
            at,
        }));
    }

    /// Converts any text of the guest to one printable line without secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.redactor.line(text)
    }

    /// Takes progress that the guest reported.
    pub(crate) fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        let at = self.gate.entered_at();
        let message = self.clean(message);
        let mut state = self.lock();
        state.progress = Some(GuestEvent::Progress {
            done,
            total,
            message,
            at,
        });
        if state.progress_due_in(self.clock.now()).is_zero() {
            state.send_progress(self.clock.now());
        } else {
            self.progress_held.notify_one();
        }
    }

    /// Sends held progress when it is due. Runs beside the guest and never ends.
    pub(crate) async fn background(&self) {
        loop {
            self.progress_held.notified().await;
            let due_in = self.lock().progress_due_in(self.clock.now());
            tokio::time::sleep(due_in).await;
            self.lock().send_progress(self.clock.now());
        }
    }

    /// Sends the output that is still held, after the guest was dropped. Returns the total output.
    pub(crate) fn finish(&self) -> OutputTotal {
        let at = self.gate.entered_at();
        let mut state = self.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut buffer = state.take_buffer(stream);
            if let Some(text) = buffer.finish(&self.redactor) {
                state.line(Line::of(stream, text, at));
            }
        }
        state.send_progress(self.clock.now());
        state.say_what_was_held_back(at);
        OutputTotal {
            text: state.tail.text(),
            truncated_bytes: state.tail.truncated(),
            lines_dropped: state.dropped + self.missed.load(Ordering::Relaxed),
        }
    }

    /// Locks the state. Nothing panics while it is locked. If it did, the output so far would still be valid.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn of(stream: Stream, text: String, at: BootTime) -> Self {
        Self {
            stream,
            level: None,
            text,
            fields: Vec::new(),
            at,
        }
    }
}

impl State {
    fn take_buffer(&mut self, stream: Stream) -> LineBuffer {
        std::mem::take(match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr | Stream::Log => &mut self.stderr,
        })
    }

    fn put_buffer(&mut self, stream: Stream, buffer: LineBuffer) {
        match stream {
            Stream::Stdout => self.stdout = buffer,
            Stream::Stderr | Stream::Log => self.stderr = buffer,
        }
    }

    fn line(&mut self, line: Line) {
        fault::abort_on(&line.text);
        self.tail.push(&line.text);
        if let Some(tap) = &self.tap {
            tap.line(&line);
        }
        if self.admits(line.at) {
            self.send(GuestEvent::Line(line));
        }
    }

    /// Returns true if the rate limit has room for one more line.
    fn admits(&mut self, at: BootTime) -> bool {
        if self.rate.rolls_over(at) {
            self.say_what_was_held_back(at);
        }
        let passes = self.rate.passes();
        if !passes {
            self.dropped += 1;
        }
        passes
    }

    fn send(&mut self, event: GuestEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped += 1;
        }
    }

    fn say_what_was_held_back(&mut self, at: BootTime) {
        let held_back = self.rate.take_held_back();
        if held_back > 0 {
            let most = self.rate.most();
            self.send(GuestEvent::Line(Line {
                stream: Stream::Log,
                level: Some(Level::Warn),
                text: format!("{held_back} lines left out: more than {most} a second"),
                fields: Vec::new(),
                at,
            }));
        }
    }

    fn progress_due_in(&self, now: BootTime) -> Duration {
        match self.progress_sent_at {
            Some(sent) => sent.after(PROGRESS_EVERY).since(now),
            None => Duration::ZERO,
        }
    }

    fn send_progress(&mut self, now: BootTime) {
        if let Some(progress) = self.progress.take() {
            self.progress_sent_at = Some(now);
            self.send(progress);
        }
    }
}
