//! From events to queued messages, by the events' own times.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_config::{Config, Notify};
use leasehold_lock::{BootTime, Token};
use leasehold_records::{JobState, Outcome, RunRecord, UnixMs};
use leasehold_supervisor::event::{AbandonedRun, Event, EventContext, EventKind, MissedTicks};
use leasehold_supervisor::event_log::EventSink as _;
use tokio::sync::mpsc;

use super::draft::NoticeDraft;
use super::notice::Notice;
use super::sink::NotifySink;
use crate::sample;

/// A sink, and the messages it has queued.
struct Desk {
    sink: NotifySink,
    queue: mpsc::Receiver<NoticeDraft>,
}

fn notify(keys: &str) -> Notify {
    let text = format!(
        "[host]\nid = \"web1\"\n[store]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [notify]\ncommand = [\"/bin/true\"]\n{keys}\n[jobs.j]\nplugin = \"x.wasm\"\n"
    );
    let config = Config::parse(&text, Path::new("/test.toml")).expect("a valid table");
    config.notify().expect("it is there").clone()
}

impl Desk {
    fn new(keys: &str, room: usize) -> Self {
        let desk = Self::before_jobs(keys, room);
        sample::report_state(&desk.sink, "j", "l", JobState::Waiting);
        desk
    }

    /// A host at its start: no job has a state.
    fn before_jobs(keys: &str, room: usize) -> Self {
        let (sender, queue) = mpsc::channel(room);
        let sink = NotifySink::new(notify(keys), sender);
        Self { sink, queue }
    }

    fn send(&self, seconds: u64, token: u64, kind: EventKind) {
        self.sink.receive(&Arc::new(Event {
            host: "web1".into(),
            at: BootTime::from_nanos(seconds * 1_000_000_000),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            context: EventContext {
                job: Some("j".into()),
                lock: Some("l".into()),
                token: Some(Token::new(token)),
                run: Some(format!("web1-{token}-0").into()),
            },
            kind,
        }));
    }

    /// Starts and ends a run.
    fn run(&self, seconds: u64, token: u64, outcome: &'static str, detail: &str) {
        let started = EventKind::RunStarted {
            attempt: 2,
            trigger: "schedule",
            tick: Some("2026-11-30T00:00:00Z".into()),
            plugin_sha256: "00".into(),
        };
        self.send(seconds, token, started);
        self.send(seconds, token, ended(outcome, detail));
    }

    /// Returns the queued messages: kind, summary, number of those left out.
    fn take(&mut self) -> Vec<(&'static str, String, u64)> {
        let mut taken = Vec::new();
        while let Ok(draft) = self.queue.try_recv() {
            let notice = draft.write();
            taken.push((notice.kind.as_str(), notice.summary, notice.dropped));
        }
        taken
    }
}

fn ended(outcome: &'static str, detail: &str) -> EventKind {
    EventKind::RunEnded {
        outcome,
        detail: detail.into(),
        admitted: 0,
        refused: 0,
        started_ns: 0,
        first_admitted_ns: None,
        last_admitted_ns: None,
        stopped_ns: 0,
        deadline_ns: 0,
        peak_memory_bytes: 0,
        writes_refused: 0,
        lines_dropped: 0,
    }
}

fn failed_on(host: &str, token: u64) -> RunRecord {
    let json = serde_json::json!({
        "job": "j", "host": host, "lock": "l", "token": token, "sequence": 0, "attempt": 1,
        "plugin_sha256": "00", "started_unix_ms": 1, "outcome": "trap",
    });
    let record = RunRecord::from_json(json.to_string().as_bytes()).expect("a record");
    assert_eq!(
        (record.outcome, record.started_unix_ms),
        (Outcome::Trap, UnixMs::new(1))
    );
    record
}

fn lost() -> EventKind {
    EventKind::LockLost {
        reason: "the deadline passed".into(),
        cause: "deadline-passed",
    }
}

#[test]
fn message_has_the_documented_fields() {
    let mut desk = Desk::new("", 9);
    desk.run(1, 7, "exit", "exit code 3\u{1b}[31m");
    let notice = desk.queue.try_recv().expect("a message").write();
    assert!(notice.id.starts_with("web1-") && notice.id.ends_with("-0"));
    let notice = Notice {
        id: "ID".into(),
        ..notice
    };
    insta::assert_snapshot!(String::from_utf8_lossy(&notice.to_json()).trim_end());
    let missed = EventKind::TicksMissed(MissedTicks {
        first: "2026-11-30T00:00:00Z".into(),
        last: "2026-11-30T00:02:00Z".into(),
        count: 3,
    });
    desk.send(2, 8, missed);
    let notice = desk.queue.try_recv().expect("a message").write();
    let notice = Notice {
        id: "ID".into(),
        ..notice
    };
    insta::assert_snapshot!(String::from_utf8_lossy(&notice.to_json()).trim_end());
}

#[test]
fn failures_losses_and_recoveries_are_sent_and_stops_are_not() {
    let mut desk = Desk::new("", 99);
    desk.run(1, 1, "done", "");
    desk.run(2, 2, "trap", "unreachable");
    desk.send(3, 3, lost());
    desk.run(3, 3, "lost", "the deadline passed");
    desk.run(4, 4, "stopped", "");
    desk.run(5, 5, "done", "");
    desk.run(6, 6, "done", "");
    desk.run(7, 7, "fatal", "no such account");
    let for_good = EventKind::JobFailed {
        error: "no such account".into(),
    };
    desk.send(7, 7, for_good);
    let taken = desk.take();
    insta::assert_debug_snapshot!(taken);
}

#[test]
fn occasions_that_are_off_are_not_sent() {
    let mut desk = Desk::new("on = [\"recovery\"]", 9);
    desk.run(1, 1, "trap", "");
    desk.send(2, 2, lost());
    desk.run(3, 3, "done", "");
    let taken = desk.take();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!((taken[0].0, taken[0].2), ("recovery", 0));
}

/// The operator's last message of a job is never a failure that is over, nor a recovery without its failure.
#[test]
fn limits_leave_out_pairs_and_count_them() {
    let mut desk = Desk::new("job_per_hour = 2", 99);
    for token in 1..=4 {
        desk.run(1, token, "trap", "");
    }
    desk.run(2, 5, "done", "");
    let kinds = |taken: &[(&'static str, String, u64)]| -> Vec<(&'static str, u64)> {
        taken
            .iter()
            .map(|(kind, _, dropped)| (*kind, *dropped))
            .collect()
    };
    let taken = desk.take();
    assert_eq!(
        kinds(&taken),
        [("failure", 0), ("failure", 0), ("recovery", 2)]
    );
    assert!(taken[2].1.contains("after 4 failures"), "{taken:?}");
    // The limit is used up: a failure and its recovery are left out together.
    desk.run(3, 6, "trap", "");
    desk.run(4, 7, "done", "");
    assert_eq!(desk.take(), []);
    desk.run(3_700, 8, "trap", "");
    assert_eq!(kinds(&desk.take()), [("failure", 2)]);
    assert_eq!(desk.sink.dropped(), 4);
}

#[test]
fn full_queue_leaves_messages_out_and_counts_them() {
    let mut desk = Desk::new("job_per_hour = 100", 2);
    for token in 1..=5 {
        desk.run(1, token, "trap", "");
    }
    assert_eq!(desk.take().len(), 2);
    desk.run(2, 6, "trap", "");
    assert_eq!(desk.take()[0].2, 3);
}

#[test]
fn abandoned_run_is_a_failure_and_its_end_a_recovery() {
    let abandoned = || {
        EventKind::RunAbandoned(AbandonedRun {
            ran_on: "web2".into(),
            attempt: 1,
            tick: None,
        })
    };
    let mut before = Desk::new("", 9);
    before.send(1, 3, abandoned());
    before.run(2, 4, "done", "");
    // Found only after the run that followed it.
    let mut after = Desk::new("", 9);
    after.run(1, 4, "done", "");
    after.send(2, 3, abandoned());
    // Found at the start of the host whose process had died.
    let mut at_start = Desk::before_jobs("", 9);
    at_start.send(1, 3, abandoned());
    assert_eq!(at_start.take(), []);
    at_start.run(2, 4, "done", "");
    for desk in [&mut before, &mut after, &mut at_start] {
        let taken = desk.take();
        let texts: Vec<&str> = taken.iter().map(|(_, text, _)| text.as_str()).collect();
        let wanted = [
            "j was cut off on web2: the host vanished or could not reach the store",
            "j succeeded on web1 after a failure",
        ];
        assert_eq!(texts, wanted);
    }
}

#[test]
fn success_after_a_failure_on_another_host_is_a_recovery() {
    let mut desk = Desk::new("", 9);
    let web1: Arc<str> = "web1".into();
    desk.run(1, 8, "done", "");
    desk.sink
        .failed_elsewhere(&web1, &failed_on("web2", 7), Some(Token::new(8)));
    desk.sink
        .failed_elsewhere(&web1, &failed_on("web2", 7), Some(Token::new(8)));
    let taken = desk.take();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(
        (taken[0].0, taken[0].1.as_str()),
        ("recovery", "j succeeded on web1 after a failure")
    );
    desk.sink
        .failed_elsewhere(&web1, &failed_on("web2", 9), None);
    assert_eq!(desk.take(), []);
    desk.run(2, 10, "done", "");
    assert_eq!(desk.take().len(), 1);
}

/// The task that writes records may find runs after their job was removed.
#[test]
fn late_findings_about_a_removed_job_are_not_kept() {
    let mut desk = Desk::new("", 9);
    let web1: Arc<str> = "web1".into();
    desk.run(1, 5, "done", "");
    desk.sink.job_gone(&web1, "j");
    desk.sink.receive(&sample::late_events("j")[0]);
    desk.sink
        .failed_elsewhere(&web1, &failed_on("web2", 6), None);
    desk.run(2, 7, "done", "");
    assert_eq!(desk.take(), []);
}
