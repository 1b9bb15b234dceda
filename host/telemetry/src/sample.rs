//! A host that has reported one of everything, for tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_config::{Config, Schedule};
use leasehold_lock::{
    BootTime, Clock as _, LeaseId, RequestResult, StreamKind, SystemClock, Token,
};
use leasehold_records::fixtures::job_record;
use leasehold_records::{JobRecord, JobState, UnixMs};
use leasehold_runtime::{Form, PluginFacts};
use leasehold_supervisor::event::{AbandonedRun, Event, EventContext, EventKind, SkipCause};
use leasehold_supervisor::event_log::{EventSink, JobView};

use crate::process_state::BuildInfo;
use crate::telemetry::Telemetry;

/// Version for tests.
pub(crate) const BUILD: BuildInfo = BuildInfo {
    version: "1.2.3",
    contract: "0.1.0",
};

/// A host, web1, that is ready and has so many jobs.
pub(crate) fn telemetry(jobs: usize) -> Telemetry {
    let telemetry = Telemetry::new(BUILD, Arc::new(SystemClock));
    let sink = telemetry.sink();
    telemetry.set_plugins_loaded("web1");
    for kind in [
        EventKind::HostStarted {
            pid: 7,
            version: "1.2.3",
            jobs,
        },
        EventKind::StoreConnected {
            endpoint: "http://127.0.0.1:2379".into(),
            cluster_id: "ab".into(),
            certificate_until: None,
        },
        EventKind::RecordsDropped {
            count: 3,
            reason: "the store took none".into(),
        },
    ] {
        sink.receive(&event(None, 0, kind));
    }
    report_renewals(&telemetry);
    for n in 0..jobs {
        report_job(&*sink, n);
    }
    telemetry
}

/// Events of a job that may come after it was removed.
pub(crate) fn late_events(job: &str) -> Vec<Arc<Event>> {
    let abandoned = AbandonedRun {
        ran_on: "web2".into(),
        attempt: 1,
        tick: None,
    };
    let kinds = [
        EventKind::RunAbandoned(abandoned),
        EventKind::Released { confirmed: true },
        run_ended("done", 0),
    ];
    kinds.map(|kind| event(Some(job), 30, kind)).into()
}

/// The host goes on under another name.
pub(crate) fn id_taken(id: &str, name: &str) -> Arc<Event> {
    let kind = EventKind::IdTaken {
        id: id.into(),
        name: name.into(),
        holder: "pid 7".into(),
    };
    event(None, 0, kind)
}

fn report_renewals(telemetry: &Telemetry) {
    let observer = telemetry.observer("web1");
    let lease = LeaseId::new(0xa);
    observer.renewal_sent(lease);
    observer.renewal_late(lease, Duration::from_secs(1));
    observer.renewal_confirmed(lease, Duration::from_millis(3));
    observer.deadline_moved(lease, Duration::from_millis(6_600));
    observer.request_ended(RequestResult::Answered, Duration::from_millis(2));
    observer.request_ended(RequestResult::Unanswered, Duration::from_secs(5));
    observer.stream_broken(StreamKind::Watches, "reset");
    observer.lock_handed_over("l", Token::new(5), Duration::from_millis(1));
}

/// One run that succeeded, one that trapped and lost its lock, and a wait.
fn report_job(sink: &dyn EventSink, n: usize) {
    let job = format!("job-{n}");
    let send = |seconds, kind| sink.receive(&event(Some(&job), seconds, kind));
    send(10, EventKind::Acquired { wait_ms: 250 });
    send(10, run_started());
    send(12, run_ended("done", 0));
    // A run of the same tick, as after `again`.
    send(12, run_started());
    send(12, run_ended("trap", 1));
    send(
        14,
        EventKind::LockLost {
            reason: "late".into(),
            cause: "deadline-passed",
        },
    );
    // Reported besides the loss; the hold ended with that.
    send(20, EventKind::Released { confirmed: false });
    for cause in [SkipCause::Missed, SkipCause::AlreadyRun] {
        let reason = String::new();
        send(15, EventKind::Skipped { reason, cause });
    }
    for state in [JobState::Sleeping, JobState::Waiting] {
        report_state(sink, &job, &format!("lock-{n}"), state);
    }
}

fn run_started() -> EventKind {
    EventKind::RunStarted {
        attempt: 1,
        trigger: "schedule",
        tick: Some("2026-11-30T00:00:00Z".into()),
        plugin_sha256: "00".into(),
    }
}

fn run_ended(outcome: &'static str, refused: u64) -> EventKind {
    EventKind::RunEnded {
        outcome,
        detail: String::new(),
        admitted: 7,
        refused,
        started_ns: 10_000_000_000,
        first_admitted_ns: None,
        last_admitted_ns: None,
        stopped_ns: 12_000_000_000,
        deadline_ns: 20_000_000_000,
        peak_memory_bytes: 65_536,
        writes_refused: 1,
        lines_dropped: 0,
    }
}

/// Reports the state of a job.
pub(crate) fn report_state(sink: &dyn EventSink, job: &str, lock: &str, state: JobState) {
    let record = JobRecord {
        lock: lock.into(),
        since_unix_ms: UnixMs::new(1_700_000_000_000),
        ..job_record(job, "web1", state)
    };
    let plugin = PluginFacts {
        job: record.job.clone(),
        path: PathBuf::from("x.wasm"),
        form: Form::Command,
        sha256: "ab".into(),
        size_bytes: 1,
        imports: vec![],
        contract: None,
        memory_minimum_bytes: 0,
        pooled: false,
        compile_time: Some(Duration::from_millis(300)),
    };
    let view = JobView {
        record: &record,
        plugin: &plugin,
        schedule: &hourly(),
    };
    sink.job_changed(&"web1".into(), &view);
}

/// A schedule with a tick each hour.
fn hourly() -> Schedule {
    let text = "[host]\nid = \"web1\"\n[store]\nendpoints = [\"http://127.0.0.1:1\"]\n\
                [jobs.j]\nplugin = \"x.wasm\"\nevery = \"1h\"\n";
    let config = Config::parse(text, &PathBuf::from("test.toml")).expect("a valid job");
    config.jobs()[0].schedule().clone()
}

fn event(job: Option<&str>, seconds: u64, kind: EventKind) -> Arc<Event> {
    let at = match seconds {
        0 => SystemClock.now(),
        _ => BootTime::from_nanos(seconds * 1_000_000_000),
    };
    Arc::new(Event {
        host: "web1".into(),
        at,
        wall: SystemTime::now(),
        context: EventContext {
            job: job.map(Into::into),
            ..EventContext::default()
        },
        kind,
    })
}
