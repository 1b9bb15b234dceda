//! [`TraceSink`]: takes events, makes a trace of each chosen run, and queues it when the run is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_lock::{BootTime, Token};
use leasehold_records::JobState;
use leasehold_runtime::{CallObserver, RunTrace};
use leasehold_supervisor::event::{Event, EventKind};
use leasehold_supervisor::event_log::{EventSink, JobView, RunStart};
use tokio::sync::mpsc;

use super::call_log::CallLog;
use super::counts::TraceCounts;
use super::ids::{IdSource, SpanId, TraceId, traceparent};
use super::span::FinishedTrace;
use super::traced_run::{LockGrant, LockLoss, LockRelease, RunEnding, TracedRun};

/// Host and job.
type JobKey = (Arc<str>, Arc<str>);

/// Sink of the event log. Clones share their state.
#[derive(Clone)]
pub(super) struct TraceSink(Arc<SinkState>);

struct SinkState {
    ratio: f64,
    ids: Box<dyn IdSource>,
    queue: mpsc::Sender<FinishedTrace>,
    counts: Arc<TraceCounts>,
    jobs: Mutex<BTreeMap<JobKey, TracedJob>>,
}

/// The newest grant of a job and its run, until the lock is given back.
#[derive(Debug, Default)]
struct TracedJob {
    grant: Option<LockGrant>,
    run: Option<TracedRun>,
}

impl TraceSink {
    pub(super) fn new(
        ratio: f64,
        ids: Box<dyn IdSource>,
        queue: mpsc::Sender<FinishedTrace>,
        counts: Arc<TraceCounts>,
    ) -> Self {
        Self(Arc::new(SinkState {
            ratio,
            ids,
            queue,
            counts,
            jobs: Mutex::default(),
        }))
    }

    /// Queues the runs that have ended and whose lock is still being given back.
    pub(super) fn finish_ended(&self) {
        self.finish_where(|_| true);
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobKey, TracedJob>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish_where(&self, is_chosen: impl Fn(&JobKey) -> bool) {
        let mut jobs = self.jobs();
        for (key, job) in jobs.iter_mut().filter(|(key, _)| is_chosen(key)) {
            self.finish(&key.0, job, None);
        }
    }

    /// Queues the run of this job, if it has ended.
    fn finish(&self, host: &Arc<str>, job: &mut TracedJob, release: Option<LockRelease>) {
        let Some(run) = job.run.take_if(|run| run.ending.is_some()) else {
            return;
        };
        if let Some(trace) = run.finish(host, release, &*self.0.ids) {
            let spans = trace.spans.len();
            if self.0.queue.try_send(trace).is_err() {
                self.0.counts.drop_spans(spans);
            }
        }
    }

    /// Applies `step` to a job that is known.
    fn update(&self, host: &Arc<str>, job: &Arc<str>, step: impl FnOnce(&mut TracedJob)) {
        if let Some(job) = self.jobs().get_mut(&(host.clone(), job.clone())) {
            step(job);
        }
    }

    /// Takes an event of a job.
    fn receive_of_job(&self, job: &Arc<str>, event: &Event) {
        let (host, token) = (&event.host, event.context.token);
        match &event.kind {
            EventKind::Acquired { .. } => self.acquire(host, job, token, event.at),
            EventKind::LockLost { reason, .. } => self.update(host, job, |job| {
                let run = job.run.as_mut().filter(|run| Some(run.token) == token);
                if let Some(run) = run.filter(|run| run.ending.is_none()) {
                    run.loss = Some(LockLoss {
                        at: event.at,
                        reason: reason.clone(),
                    });
                }
            }),
            EventKind::RunEnded { .. } => self.update(host, job, |job| {
                // Also of a run that is not traced: a later one under this grant did not wait for it.
                let grant = job.grant.take_if(|grant| Some(grant.token) == token);
                let run = job.run.as_mut();
                let Some(run) = run.filter(|run| event.context.run.as_ref() == Some(&run.run))
                else {
                    return;
                };
                run.ending = ending_of(event);
                run.acquired = grant;
                // The lock is no longer held, or is kept for another run.
                if run.loss.is_some() || is_kept(event) {
                    self.finish(host, job, None);
                }
            }),
            EventKind::Released { confirmed } => self.update(host, job, |job| {
                let is_of_run = job.run.as_ref().map(|run| run.token) == token;
                let release = is_of_run.then_some(LockRelease {
                    at: event.at,
                    is_confirmed: *confirmed,
                });
                self.finish(host, job, release);
            }),
            EventKind::JobFinished | EventKind::JobFailed { .. } => {
                self.update(host, job, |job| self.finish(host, job, None));
            }
            _ => {}
        }
    }

    /// Remembers the grant of the lock, for the first run under it.
    fn acquire(&self, host: &Arc<str>, job: &Arc<str>, token: Option<Token>, granted: BootTime) {
        let Some(token) = token.filter(|_| self.0.ratio > 0.0) else {
            return;
        };
        let mut jobs = self.jobs();
        let job = jobs.entry((host.clone(), job.clone())).or_default();
        // A run of an earlier grant whose lock was lost while it was given back.
        self.finish(host, job, None);
        job.grant = Some(LockGrant { token, granted });
    }
}

/// True for the end of a run after which the job keeps its lock.
fn is_kept(event: &Event) -> bool {
    matches!(event.kind, EventKind::RunEnded { outcome, .. } if outcome == "again")
}

fn ending_of(event: &Event) -> Option<RunEnding> {
    let EventKind::RunEnded {
        outcome,
        detail,
        admitted,
        refused,
        started_ns,
        stopped_ns,
        peak_memory_bytes,
        writes_refused,
        ..
    } = &event.kind
    else {
        return None;
    };
    Some(RunEnding {
        at: event.at,
        outcome,
        detail: detail.clone(),
        guest: (
            BootTime::from_nanos(*started_ns),
            BootTime::from_nanos(*stopped_ns),
        ),
        calls_admitted: *admitted,
        calls_refused: *refused,
        peak_memory_bytes: *peak_memory_bytes,
        writes_refused: *writes_refused,
    })
}

impl EventSink for TraceSink {
    fn receive(&self, event: &Arc<Event>) {
        match (&event.context.job, &event.kind) {
            // The most frequent events need no lock.
            (_, EventKind::Guest { .. } | EventKind::Progress { .. }) => {}
            (Some(job), _) => self.receive_of_job(job, event),
            (None, EventKind::HostStopped) => self.finish_where(|(host, _)| *host == event.host),
            (None, _) => {}
        }
    }

    fn job_changed(&self, host: &Arc<str>, view: &JobView<'_>) {
        if view.record.state != JobState::Running {
            let job = view.record.job.as_str().into();
            self.update(host, &job, |job| self.finish(host, job, None));
        }
    }

    fn run_begins(&self, host: &Arc<str>, run: &RunStart<'_>) -> Option<RunTrace> {
        let ids = &*self.0.ids;
        let (trace, guest) = (TraceId::make(ids), SpanId::make(ids));
        let is_sampled = trace.is_sampled(self.0.ratio);
        let traceparent = traceparent(trace, guest, is_sampled);
        if !is_sampled {
            return Some(RunTrace {
                traceparent,
                calls: None,
            });
        }
        let calls = Arc::new(CallLog::default());
        let traced = TracedRun {
            trace,
            root: SpanId::make(ids),
            hold: SpanId::make(ids),
            guest,
            job: run.job.clone(),
            lock: run.lock.clone(),
            token: run.token,
            run: run.run.into(),
            attempt: run.attempt,
            trigger: run.trigger,
            tick: run.tick.map(|tick| tick.to_string()),
            waited: run.waited,
            started: run.started,
            calls: calls.clone(),
            acquired: None,
            loss: None,
            ending: None,
        };
        let mut jobs = self.jobs();
        let job = jobs.entry((host.clone(), run.job.clone())).or_default();
        self.finish(host, job, None);
        job.run = Some(traced);
        Some(RunTrace {
            traceparent,
            calls: Some(calls as Arc<dyn CallObserver>),
        })
    }

    fn job_gone(&self, host: &Arc<str>, job: &str) {
        let removed = self.jobs().remove(&(host.clone(), job.into()));
        if let Some(mut job) = removed {
            self.finish(host, &mut job, None);
        }
    }
}
