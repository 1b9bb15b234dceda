//! Events reach every sink, whatever another sink does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

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
