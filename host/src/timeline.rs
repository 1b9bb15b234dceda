//! The event log: from events to lines on standard output.
//!
//! A thread of its own writes, behind a bounded queue. A pipe that nobody reads must not stop a run,
//! so when the queue is full lines are dropped and counted, and the count is printed when there is
//! room again.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use leasehold_lock::Clock;
use serde::Serialize;

use crate::event::{About, Event, What};

/// Lines that may wait for a slow reader.
const DEPTH: usize = 8192;
/// Bytes that go into one write.
const MOST_AT_ONCE: usize = 64 * 1024;
/// How long lines may gather before they are written.
const GATHER: Duration = Duration::from_millis(2);
/// How long shutting down waits for a reader to take the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Timeline {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    events: Mutex<Option<SyncSender<Event>>>,
    dropped: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Timeline {
    /// Starts the writing thread.
    pub(crate) fn start(clock: Arc<dyn Clock>, format: LogFormat, host: &str) -> io::Result<Self> {
        let (events, queue) = sync_channel(DEPTH);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = std::thread::Builder::new()
            .name("leasehold-log".into())
            .spawn({
                let host = host.to_owned();
                move || write_lines(&queue, format, &host)
            })?;
        Ok(Self {
            shared: Arc::new(Shared {
                clock,
                events: Mutex::new(Some(events)),
                dropped,
                writer: Mutex::new(Some(writer)),
            }),
        })
    }

    /// Says that something happened now.
    pub(crate) fn say(&self, about: About, what: What) {
        self.say_at(self.shared.clock.now(), about, what);
    }

    /// Says that something happened at a moment that has passed.
    pub(crate) fn say_at(&self, at: leasehold_lock::BootTime, about: About, what: What) {
        let age = self.shared.clock.now().since(at);
        let wall = SystemTime::now();
        let event = Event {
            at,
            wall: wall.checked_sub(age).unwrap_or(wall),
            about,
            what,
        };
        let missed = self.shared.dropped.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let gap = Event {
                about: About::default(),
                what: What::LinesDropped { count: missed },
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

    /// Writes what is left, unless nobody reads, and ends the thread.
    pub(crate) fn finish(&self) {
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

fn write_lines(queue: &Receiver<Event>, format: LogFormat, host: &str) {
    let line = |event: &Event| match format {
        LogFormat::Json => json(event, host),
        LogFormat::Text => text(event, host),
    };
    let mut out = io::stdout().lock();
    while let Ok(event) = queue.recv() {
        let mut text = line(&event);
        loop {
            while text.len() < MOST_AT_ONCE
                && let Ok(more) = queue.try_recv()
            {
                text.push_str(&line(&more));
            }
            if text.is_empty() {
                break;
            }
            // An error means that nobody will ever read again.
            if out
                .write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
            {
                return;
            }
            text.clear();
            // While things happen, look again soon instead of being woken for every line: waking a
            // thread costs the one who speaks more than the line does.
            std::thread::sleep(GATHER);
        }
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    boot_ns: u64,
    host: &'a str,
    #[serde(flatten)]
    about: &'a About,
    #[serde(flatten)]
    what: &'a What,
}

fn json(event: &Event, host: &str) -> String {
    let line = JsonLine {
        time: humantime::format_rfc3339_millis(event.wall).to_string(),
        boot_ns: event.at.as_nanos(),
        host,
        about: &event.about,
        what: &event.what,
    };
    // Plain data always serializes; an empty line would say otherwise.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

fn text(event: &Event, host: &str) -> String {
    let time = humantime::format_rfc3339_millis(event.wall);
    let job = event.about.job.as_deref().unwrap_or("-");
    let mut line = format!("{time} {host:<10} {job:<14} {}", sentence(&event.what));
    if let Some(token) = event.about.token
        && !matches!(event.what, What::Guest { .. } | What::Progress { .. })
    {
        let _ = write!(line, "  (token {token})");
    }
    line.push('\n');
    line
}

fn sentence(what: &What) -> String {
    match what {
        What::HostStarted { pid, version, jobs } => {
            format!("HOST       leasehold {version} started, pid {pid}, {jobs} job(s)")
        }
        What::StoreConnected {
            endpoint,
            cluster_id,
        } => format!("STORE      connected to {endpoint}, cluster {cluster_id}"),
        What::StoreTrouble { error } => format!("STORE      trouble: {error}"),
        What::Waiting { place, holder } => match holder {
            Some(holder) => format!("WAITING    {place} ahead, held by {holder}"),
            None => format!("WAITING    {place} ahead"),
        },
        What::Acquired { wait_ms } => format!("ACQUIRED   after {wait_ms} ms"),
        What::RunStarted { attempt, trigger } => {
            format!("RUN        attempt {attempt}, {trigger}")
        }
        What::Guest {
            stream,
            level,
            text,
            fields,
        } => {
            let mut line = format!("{}| {text}", level.unwrap_or(stream));
            for (name, value) in fields {
                let _ = write!(line, " {name}={value}");
            }
            line
        }
        What::Progress {
            done,
            total,
            message,
        } => match total {
            Some(total) => format!("progress   {done}/{total} {message}"),
            None => format!("progress   {done} {message}"),
        },
        What::LockLost { reason } => format!("LOST       {reason}"),
        What::RunEnded {
            outcome,
            detail,
            refused,
            ..
        } => {
            let mut line = format!("ENDED      {outcome}");
            if !detail.is_empty() {
                let _ = write!(line, ": {detail}");
            }
            if *refused > 0 {
                let _ = write!(line, " [{refused} late call(s) refused]");
            }
            line
        }
        What::Released { confirmed: true } => "RELEASED".into(),
        What::Released { confirmed: false } => {
            "RELEASED   not confirmed by the store yet; the entry goes with its lease at the latest"
                .into()
        }
        What::Skipped { reason } => format!("SKIPPED    {reason}"),
        What::Backoff { delay_ms, reason } => {
            format!("BACKOFF    again in {delay_ms} ms: {reason}")
        }
        What::JobFailed { error } => format!("FAILED     {error}"),
        What::JobFinished => "FINISHED".into(),
        What::HostStopping { reason } => format!("STOPPING   {reason}"),
        What::HostStopped => "STOPPED".into(),
        What::LinesDropped { count } => {
            format!("LOG        {count} line(s) dropped because nobody read this log")
        }
    }
}
