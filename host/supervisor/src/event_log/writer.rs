//! The sink that writes lines: a thread behind a bounded queue.
//!
//! A pipe without a reader must not stop a run: when the queue is full, lines are dropped and counted. The count is
//! printed once there is room again.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::columns::NameColumns;
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
/// Time that the end of the log may take with a reader that is slow but reads.
const FAREWELL: Duration = Duration::from_secs(10);
/// Pause between two looks at the writing thread.
const LOOK: Duration = Duration::from_millis(2);

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
    /// Number of lines dropped since the last report.
    dropped: AtomicU64,
    /// Number of lines dropped since the start.
    dropped_in_all: AtomicU64,
    /// The latest dropped event, for the line that reports the last gap.
    latest_dropped: Mutex<Option<Arc<Event>>>,
    /// Number of writes that the output has taken.
    writes: Arc<AtomicU64>,
    /// The least important events that are written.
    level: EventLevel,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LineWriter {
    /// Starts the writing thread.
    pub(super) fn start(form: Form, level: EventLevel, out: Out) -> io::Result<Self> {
        let (events, queue) = sync_channel(DEPTH);
        let writes = Arc::new(AtomicU64::new(0));
        let counter = writes.clone();
        let thread = std::thread::Builder::new()
            .name("leasehold-log".into())
            .spawn(move || write(&queue, form, out, &counter))?;
        Ok(Self {
            events: Mutex::new(Some(events)),
            dropped: AtomicU64::new(0),
            dropped_in_all: AtomicU64::new(0),
            latest_dropped: Mutex::new(None),
            writes,
            level,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Reports the lines dropped since the last report, if there are any and there is room.
    fn report_gap(&self, near: &Event) {
        let missed = self.dropped.swap(0, Ordering::Relaxed);
        if missed == 0 {
            return;
        }
        let gap = Event {
            host: near.host.clone(),
            at: near.at,
            wall: near.wall,
            context: EventContext::default(),
            kind: EventKind::LinesDropped { count: missed },
        };
        if !self.push(Arc::new(gap)) {
            self.dropped.fetch_add(missed, Ordering::Relaxed);
        }
    }

    /// Waits until `is_over`. Returns false when the output takes nothing for [`LAST_WORDS`], or at `deadline`.
    fn wait_for(&self, deadline: Instant, is_over: impl Fn() -> bool) -> bool {
        let mut seen = (self.writes.load(Ordering::Relaxed), Instant::now());
        while !is_over() {
            let (writes, now) = (self.writes.load(Ordering::Relaxed), Instant::now());
            if writes != seen.0 {
                seen = (writes, now);
            }
            if now >= deadline || now.duration_since(seen.1) >= LAST_WORDS {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    fn push(&self, event: Arc<Event>) -> bool {
        lock(&self.events)
            .as_ref()
            .is_some_and(|events| events.try_send(event).is_ok())
    }
}

impl EventSink for LineWriter {
    fn receive(&self, event: &Arc<Event>) {
        if event.kind.level() > self.level {
            return;
        }
        self.report_gap(event);
        if !self.push(event.clone()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_in_all.fetch_add(1, Ordering::Relaxed);
            *lock(&self.latest_dropped) = Some(event.clone());
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped_in_all.load(Ordering::Relaxed)
    }

    /// Writes the remaining lines and ends the thread. A slow reader gets all lines within ten seconds; an output
    /// that is stuck is given up after [`LAST_WORDS`].
    fn finish(&self) {
        let deadline = Instant::now() + FAREWELL;
        if let Some(latest) = lock(&self.latest_dropped).take() {
            self.wait_for(deadline, || {
                self.report_gap(&latest);
                self.dropped.load(Ordering::Relaxed) == 0
            });
        }
        drop(lock(&self.events).take());
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        // A thread that is still stuck in a full pipe ends with the process.
        if self.wait_for(deadline, || thread.is_finished()) {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(queue: &Receiver<Arc<Event>>, form: Form, out: Out, writes: &AtomicU64) {
    match out {
        Out::Stdout => write_lines(queue, form, io::stdout().lock(), writes),
        Out::File(file) => write_lines(queue, form, file, writes),
        Out::Nowhere => while queue.recv().is_ok() {},
    }
}

fn write_lines(
    queue: &Receiver<Arc<Event>>,
    form: Form,
    mut out: impl io::Write,
    writes: &AtomicU64,
) {
    let mut columns = NameColumns::of(form);
    while let Ok(event) = queue.recv() {
        let mut text = line::render(&event, form, &mut columns);
        loop {
            while text.len() < MOST_AT_ONCE
                && let Ok(more) = queue.try_recv()
            {
                text.push_str(&line::render(&more, form, &mut columns));
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
            writes.fetch_add(1, Ordering::Relaxed);
            text.clear();
            // While events come, reads the queue again soon instead of being woken for every line. Waking a thread
            // costs the sender more than the line does.
            std::thread::sleep(GATHER);
        }
    }
}
