//! Traces from events, on a clock of their own.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leasehold_lock::{BootTime, Token};
use leasehold_records::UnixMs;
use leasehold_runtime::{HostCall, RunTrace};
use leasehold_supervisor::event::{Event, EventContext, EventKind};
use leasehold_supervisor::event_log::{EventSink as _, RunStart};
use tokio::sync::mpsc;

use super::counts::TraceCounts;
use super::ids::{IdSource, traceparent};
use super::sink::TraceSink;
use super::span::{FinishedTrace, SpanRole, SpanValue, TraceSpan};

/// Ids that count up.
#[derive(Debug, Default)]
struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A sink, and the traces that it queues.
struct Rig {
    sink: TraceSink,
    counts: Arc<TraceCounts>,
    traces: mpsc::Receiver<FinishedTrace>,
}

/// Milliseconds since the machine's start.
fn at(millis: u64) -> BootTime {
    BootTime::from_nanos(millis * 1_000_000)
}

/// Wall time at that moment.
fn wall(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000) + Duration::from_millis(millis)
}

impl Rig {
    fn new(ratio: f64, room: usize) -> Self {
        let (queue, traces) = mpsc::channel(room);
        let counts = Arc::<TraceCounts>::default();
        Self {
            sink: TraceSink::new(ratio, Box::<CountedIds>::default(), queue, counts.clone()),
            counts,
            traces,
        }
    }

    fn begin(&self, token: u64, run: &str, millis: u64) -> RunTrace {
        let start = RunStart {
            job: &"ledger".into(),
            lock: &"billing".into(),
            token: Token::new(token),
            run,
            attempt: 2,
            trigger: "schedule",
            tick: Some(UnixMs::new(0)),
            waited: Duration::from_millis(250),
            started: (at(millis), wall(millis)),
        };
        let trace = self.sink.run_begins(&"web1".into(), &start);
        trace.expect("a trace")
    }

    fn send(&self, token: u64, run: Option<&str>, millis: u64, kind: EventKind) {
        let event = Event {
            host: "web1".into(),
            at: at(millis),
            // The clock of people was set meanwhile.
            wall: UNIX_EPOCH,
            context: EventContext {
                job: Some("ledger".into()),
                lock: Some("billing".into()),
                token: Some(Token::new(token)),
                run: run.map(Into::into),
            },
            kind,
        };
        self.sink.receive(&Arc::new(event));
    }

    fn end(&self, token: u64, run: &str, millis: u64, outcome: &'static str, detail: &str) {
        let kind = EventKind::RunEnded {
            outcome,
            detail: detail.into(),
            admitted: 7,
            refused: 0,
            started_ns: at(millis - 90).as_nanos(),
            first_admitted_ns: None,
            last_admitted_ns: None,
            stopped_ns: at(millis - 1).as_nanos(),
            deadline_ns: at(millis + 1_000).as_nanos(),
            peak_memory_bytes: 65_536,
            writes_refused: 1,
            lines_dropped: 0,
        };
        self.send(token, Some(run), millis, kind);
    }

    fn trace(&mut self) -> FinishedTrace {
        self.traces.try_recv().expect("a trace")
    }

    fn is_empty(&mut self) -> bool {
        self.traces.try_recv().is_err()
    }
}

/// Draws a trace as a tree with times in milliseconds.
fn draw(trace: &FinishedTrace) -> String {
    let mut text = String::new();
    let root = trace.spans.iter().find(|span| span.parent.is_none());
    draw_below(trace, root.expect("a root"), 0, &mut text);
    assert_eq!(text.lines().count(), trace.spans.len(), "orphans:\n{text}");
    text
}

fn draw_below(trace: &FinishedTrace, span: &TraceSpan, depth: usize, text: &mut String) {
    let millis = |time: SystemTime| time.duration_since(wall(0)).expect("later").as_millis();
    let indent = "  ".repeat(depth);
    let (start, end) = (millis(span.start), millis(span.end));
    // Writing to a text does not fail.
    let _ = write!(text, "{indent}{} {start}..{end}", span.name);
    if let Some(error) = &span.error {
        let _ = write!(text, " error={error:?}");
    }
    for (key, value) in &span.attributes {
        let value = match value {
            SpanValue::Text(text) => text.clone(),
            SpanValue::Number(number) => number.to_string(),
        };
        let _ = write!(text, " {}={value}", key.trim_start_matches("leasehold."));
    }
    text.push('\n');
    for child in trace.spans.iter().filter(|one| one.parent == Some(span.id)) {
        draw_below(trace, child, depth + 1, text);
    }
}

fn call(name: &'static str, started: u64, ended: u64) -> HostCall {
    HostCall {
        name: name.into(),
        started: at(started),
        ended: at(ended),
    }
}

#[test]
fn run_becomes_a_tree_when_its_lock_is_given_back() {
    let mut rig = Rig::new(1.0, 8);
    let trace = rig.begin(5, "web1-5-0", 1_000);
    rig.send(5, None, 990, EventKind::Acquired { wait_ms: 250 });
    let calls = trace.calls.expect("an observer");
    calls.call_ended(call("http GET https://bank", 1_020, 1_060));
    calls.call_ended(call("fenced-kv.put", 1_015, 1_019));
    rig.end(5, "web1-5-0", 1_100, "done", "12 transfers");
    assert!(rig.is_empty(), "the lock is not given back yet");
    rig.send(5, None, 1_104, EventKind::Released { confirmed: true });
    let finished = rig.trace();
    insta::assert_snapshot!(draw(&finished));
    let guest = finished.spans.iter().find(|span| span.name == "guest");
    let guest = guest.expect("a guest");
    let header = traceparent(finished.id, guest.id, true);
    assert_eq!(trace.traceparent, header);
    let request = finished
        .spans
        .iter()
        .find(|span| span.name.starts_with("http "));
    assert_eq!(request.map(|span| span.role), Some(SpanRole::Client));
}

#[test]
fn run_that_lost_its_lock_ends_with_the_error_of_its_record() {
    let mut rig = Rig::new(1.0, 8);
    rig.begin(5, "web1-5-0", 1_000);
    rig.send(5, None, 1_000, EventKind::Acquired { wait_ms: 0 });
    let lost = EventKind::LockLost {
        reason: "the lease has ended".into(),
        cause: "lease-ended",
    };
    rig.send(5, Some("web1-5-0"), 1_090, lost);
    rig.end(
        5,
        "web1-5-0",
        1_100,
        "lost",
        "the lease has ended: entry /x of web1",
    );
    insta::assert_snapshot!(draw(&rig.trace()));
}

/// The later run has no wait: the lock was held all the time.
#[test]
fn runs_under_one_lock_are_traces_of_their_own() {
    let mut rig = Rig::new(1.0, 8);
    rig.begin(5, "web1-5-0", 1_000);
    rig.send(5, None, 1_000, EventKind::Acquired { wait_ms: 10 });
    rig.end(5, "web1-5-0", 1_100, "again", "");
    let first = rig.trace();
    rig.begin(5, "web1-5-1", 2_000);
    rig.end(5, "web1-5-1", 2_100, "exit", "exit code 3");
    rig.send(5, None, 2_103, EventKind::Released { confirmed: false });
    let second = rig.trace();
    assert_ne!(first.id, second.id);
    insta::assert_snapshot!(format!("{}\n{}", draw(&first), draw(&second)));
}

#[test]
fn release_that_is_never_reported_delays_a_trace_until_the_next_event() {
    let mut rig = Rig::new(1.0, 8);
    rig.begin(5, "web1-5-0", 1_000);
    rig.end(5, "web1-5-0", 1_100, "done", "");
    assert!(rig.is_empty());
    rig.send(6, None, 3_000, EventKind::Acquired { wait_ms: 10 });
    assert_eq!(rig.trace().spans.len(), 3);
    // At the end of the process too.
    rig.begin(6, "web1-6-0", 3_000);
    rig.end(6, "web1-6-0", 3_100, "done", "");
    rig.sink.finish_ended();
    assert_eq!(rig.trace().spans.len(), 4);
    rig.sink.finish_ended();
    assert!(rig.is_empty());
}

#[test]
fn run_that_is_not_sampled_has_a_header_and_costs_no_call() {
    let mut rig = Rig::new(0.0, 8);
    let trace = rig.begin(5, "web1-5-0", 1_000);
    assert!(trace.traceparent.ends_with("-00") && trace.calls.is_none());
    rig.send(5, None, 1_000, EventKind::Acquired { wait_ms: 10 });
    rig.end(5, "web1-5-0", 1_100, "done", "");
    rig.send(5, None, 1_103, EventKind::Released { confirmed: true });
    assert!(rig.is_empty());
}

#[test]
fn trace_without_room_is_dropped_and_its_spans_are_counted() {
    let mut rig = Rig::new(1.0, 1);
    for token in 1..=3 {
        let run = format!("web1-{token}-0");
        rig.begin(token, &run, 1_000);
        rig.end(token, &run, 1_100, "done", "");
        rig.send(token, None, 1_103, EventKind::Released { confirmed: true });
    }
    assert_eq!(rig.trace().spans.len(), 4);
    assert!(rig.is_empty());
    assert_eq!(rig.counts.dropped(), 8);
}

/// Fails when an event of an earlier run, or of another, ends a run.
#[test]
fn events_of_other_runs_change_nothing() {
    let mut rig = Rig::new(1.0, 8);
    rig.begin(5, "web1-5-0", 1_000);
    rig.end(4, "web1-4-0", 1_050, "trap", "unreachable");
    rig.send(4, None, 1_060, EventKind::Released { confirmed: true });
    let lost = EventKind::LockLost {
        reason: "late".into(),
        cause: "deadline-passed",
    };
    rig.send(4, None, 1_070, lost);
    assert!(rig.is_empty());
    rig.end(5, "web1-5-0", 1_100, "done", "");
    rig.sink.job_gone(&"web1".into(), "ledger");
    assert!(rig.trace().spans.iter().all(|span| span.error.is_none()));
}

#[test]
fn run_after_one_that_is_not_traced_has_no_wait() {
    let mut rig = Rig::new(1.0, 8);
    rig.send(5, None, 990, EventKind::Acquired { wait_ms: 250 });
    rig.end(5, "web1-5-0", 1_050, "again", "");
    rig.begin(5, "web1-5-1", 2_000);
    rig.end(5, "web1-5-1", 2_100, "again", "");
    let names: Vec<_> = rig
        .trace()
        .spans
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert_eq!(names, ["run", "hold", "guest"]);
}
