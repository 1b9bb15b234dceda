//! The sink that writes lines: a thread behind a bounded queue.
//!
//! A pipe without a reader must not stop a run: when the queue is full, lines are dropped and counted. The count is
//! printed once there is room again.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::form::Form;
use super::line;
use super::sink::EventSink;
use crate::event::{Event, EventContext, EventKind};
use crate::event_level::EventLevel;
use crate::last_words::LAST_WORDS;

/// Number of lines that may wait for a slow reader.
const DEPTH: usize = 8192;
/// Bytes that go into one write.
const MOST_AT_ONCE: usize = 64 * 1024;
/// Time that lines may gather before they are written.
const GATHER: Duration = Duration::from_millis(2);

/// Destination of the lines.
pub enum Out {
    /// Standard output.
    Stdout,
    /// A file.
    File(File),
    /// Discards all lines: the dashboard shows the events.
    Nowhere,
}

/// Writes every event as a line.
pub(super) struct LineWriter {
    events: Mutex<Option<SyncSender<Arc<Event>>>>,
    dropped: AtomicU64,
    /// The least important events that are written.
    level: EventLevel,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LineWriter {
    /// Starts the writing thread.
    pub(super) fn start(form: Form, level: EventLevel, out: Out) -> io::Result<Self> {
        let (events, queue) = sync_channel(DEPTH);
        let thread = std::thread::Builder::new()
            .name("leasehold-log".into())
            .spawn(move || write(&queue, form, out))?;
        Ok(Self {
            events: Mutex::new(Some(events)),
            dropped: AtomicU64::new(0),
            level,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn push(&self, event: Arc<Event>) -> bool {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .as_ref()
            .is_some_and(|events| events.try_send(event).is_ok())
    }
}

impl EventSink for LineWriter {
    fn receive(&self, event: &Arc<Event>) {
        if event.kind.level() > self.level {
            return;
        }
        let missed = self.dropped.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let gap = Event {
                host: event.host.clone(),
                at: event.at,
                wall: event.wall,
                context: EventContext::default(),
                kind: EventKind::LinesDropped { count: missed },
            };
            if !self.push(Arc::new(gap)) {
                self.dropped.fetch_add(missed, Ordering::Relaxed);
            }
        }
        if !self.push(event.clone()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes the remaining lines, unless the output is stuck, and ends the thread.
    fn finish(&self) {
        let events = self
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(events);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let began = std::time::Instant::now();
            while !thread.is_finished() && began.elapsed() < LAST_WORDS {
                std::thread::sleep(Duration::from_millis(2));
            }
            // A thread that is still stuck in a full pipe ends with the process.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

fn write(queue: &Receiver<Arc<Event>>, form: Form, out: Out) {
    match out {
        Out::Stdout => write_lines(queue, form, io::stdout().lock()),
        Out::File(file) => write_lines(queue, form, file),
        Out::Nowhere => while queue.recv().is_ok() {},
    }
}

fn write_lines(queue: &Receiver<Arc<Event>>, form: Form, mut out: impl io::Write) {
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
