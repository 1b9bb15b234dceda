//! Events reach every sink, whatever another sink does.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use leasehold_lock::SystemClock;

use super::*;

/// Counts events, and the ends that it was told of.
#[derive(Clone, Default)]
struct Counter {
    events: Arc<AtomicU64>,
    ends: Arc<AtomicU64>,
}

impl EventSink for Counter {
    fn receive(&self, _event: &Arc<Event>) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

/// Has room for one event, and no reader.
struct Full {
    queue: SyncSender<Arc<Event>>,
    dropped: Arc<AtomicU64>,
}

impl EventSink for Full {
    fn receive(&self, event: &Arc<Event>) {
        if self.queue.try_send(event.clone()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn full_sink_drops_and_the_others_receive_every_event() {
    let (queue, kept) = sync_channel(1);
    let dropped = Arc::new(AtomicU64::new(0));
    let full = Full {
        queue,
        dropped: dropped.clone(),
    };
    let counter = Counter::default();
    let sinks: Vec<Box<dyn EventSink>> = vec![Box::new(full), Box::new(counter.clone())];
    let log = EventLog::with_sinks(Arc::new(SystemClock), "a", sinks);
    let other = log.of("b");
    for _ in 0..3 {
        log.emit(EventContext::default(), EventKind::JobFinished);
    }
    other.emit(EventContext::default(), EventKind::JobFinished);
    log.mute();
    log.emit(EventContext::default(), EventKind::JobFinished);
    log.finish();
    assert_eq!(counter.events.load(Ordering::Relaxed), 4);
    assert_eq!(counter.ends.load(Ordering::Relaxed), 1);
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    assert_eq!(&*kept.recv().expect("the first event").host, "a");
}

/// Fails when the end of the log is cut off after a second, or when lines dropped last are not counted.
#[test]
fn slow_reader_receives_all_lines_and_the_last_gap() {
    const LINES: u64 = 10_000;
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let out = Out::File(std::os::fd::OwnedFd::from(writer).into());
    let log = EventLog::start(
        Arc::new(SystemClock),
        (Form::Json, EventLevel::Debug),
        "a",
        out,
    )
    .expect("a log");
    let text = "x".repeat(400);
    for _ in 0..LINES {
        let text = text.clone();
        log.emit(EventContext::default(), EventKind::Note { text });
    }
    let has_ended = Arc::new(AtomicBool::new(false));
    let ended = has_ended.clone();
    let ending = std::thread::spawn(move || {
        log.finish();
        ended.store(true, Ordering::Relaxed);
    });
    let mut read = Vec::new();
    let mut read_late = 0;
    let mut part = vec![0; 32 << 10];
    while let Ok(bytes @ 1..) = reader.read(&mut part) {
        read.extend_from_slice(&part[..bytes]);
        if has_ended.load(Ordering::Relaxed) {
            read_late += bytes;
        }
        std::thread::sleep(Duration::from_millis(12));
    }
    ending.join().expect("the log has ended");
    // The pipe's own buffer, and one part that was being read.
    assert!(read_late <= (64 << 10) + part.len(), "{read_late} bytes");
    let (mut notes, mut dropped) = (0, 0);
    for line in String::from_utf8(read).expect("text").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        match line["event"].as_str() {
            Some("lines-dropped") => dropped += line["count"].as_u64().expect("a count"),
            _ => notes += 1,
        }
    }
    assert!(dropped > 0);
    assert_eq!(notes + dropped, LINES);
}
