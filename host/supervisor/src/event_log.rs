//! The event log: formats the events of one host, or of several in one process, as lines on standard output.
//!
//! A thread of its own writes, behind a bounded queue. A pipe without a reader must not stop a run: when the queue
//! is full, lines are dropped and counted. The count is printed once there is room again.

mod line;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use leasehold_lock::{BootTime, Clock};

use crate::event::{Event, EventContext, EventKind};
use crate::last_words::LAST_WORDS;

/// Number of lines that may wait for a slow reader.
const DEPTH: usize = 8192;
/// Bytes that go into one write.
const MOST_AT_ONCE: usize = 64 * 1024;
/// Time that lines may gather before they are written.
const GATHER: Duration = Duration::from_millis(2);

/// Format of the lines of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One readable line an event, with the date: for logs.
    Text,
    /// One JSON object a line.
    Json,
    /// One short line an event, for a person who watches several hosts: seconds since `began`, and no more than
    /// fits a terminal.
    Story {
        /// Its first moment.
        began: BootTime,
        /// True if hosts have colours.
        colours: bool,
    },
}

impl Form {
    /// Returns a story that begins now. It has colours where they can be shown and are wanted: `NO_COLOR` and
    /// `CLICOLOR_FORCE` have their usual meaning.
    pub fn story(clock: &dyn Clock) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_shown = io::stdout().is_terminal() || is_set("CLICOLOR_FORCE");
        Self::Story {
            began: clock.now(),
            colours: is_shown && !is_set("NO_COLOR"),
        }
    }
}

/// Destination of the lines.
pub enum Out {
    /// Standard output.
    Stdout,
    /// A file.
    File(File),
    /// Discards all lines: the dashboard shows the events.
    Nowhere,
}

/// Handle for logging the events of one host. Cheap to clone; handles of several hosts may share the writer.
#[derive(Clone)]
pub struct EventLog {
    host: Arc<str>,
    muted: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    events: Mutex<Option<SyncSender<Event>>>,
    dropped: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EventLog {
    /// Starts the writing thread.
    pub fn start(clock: Arc<dyn Clock>, form: Form, host: &str, out: Out) -> io::Result<Self> {
        let (events, queue) = sync_channel(DEPTH);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = std::thread::Builder::new()
            .name("leasehold-log".into())
            .spawn(move || write(&queue, form, out))?;
        Ok(Self {
            host: host.into(),
            muted: Arc::default(),
            shared: Arc::new(Shared {
                clock,
                events: Mutex::new(Some(events)),
                dropped,
                writer: Mutex::new(Some(writer)),
            }),
        })
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
        let event = Event {
            host: self.host.clone(),
            at,
            wall: wall.checked_sub(age).unwrap_or(wall),
            context,
            kind,
        };
        let missed = self.shared.dropped.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let gap = Event {
                context: EventContext::default(),
                kind: EventKind::LinesDropped { count: missed },
                ..event.clone()
            };
            if !self.push(gap) {
                self.shared.dropped.fetch_add(missed, Ordering::Relaxed);
            }
        }
        if !self.push(event) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn push(&self, event: Event) -> bool {
        let events = self
            .shared
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        events
            .as_ref()
            .is_some_and(|events| events.try_send(event).is_ok())
    }

    /// Writes the remaining lines, unless the output is stuck, and ends the thread.
    pub fn finish(&self) {
        let events = self
            .shared
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(events);
        let writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let began = std::time::Instant::now();
            while !writer.is_finished() && began.elapsed() < LAST_WORDS {
                std::thread::sleep(Duration::from_millis(2));
            }
            // A writer that is still stuck in a full pipe ends with the process.
            if writer.is_finished() {
                let _ = writer.join();
            }
        }
    }
}

fn write(queue: &Receiver<Event>, form: Form, out: Out) {
    match out {
        Out::Stdout => write_lines(queue, form, io::stdout().lock()),
        Out::File(file) => write_lines(queue, form, file),
        Out::Nowhere => while queue.recv().is_ok() {},
    }
}

fn write_lines(queue: &Receiver<Event>, form: Form, mut out: impl io::Write) {
    while let Ok(event) = queue.recv() {
        let mut text = line::of(&event, form);
        loop {
            while text.len() < MOST_AT_ONCE
                && let Ok(more) = queue.try_recv()
            {
                text.push_str(&line::of(&more, form));
            }
            if text.is_empty() {
                break;
            }
            // An error means that the output has no reader any more.
            if out
                .write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
            {
                return;
            }
            text.clear();
            // While events come, reads the queue again soon instead of being woken for every line. Waking a thread
            // costs the sender more than the line does.
            std::thread::sleep(GATHER);
        }
    }
}
