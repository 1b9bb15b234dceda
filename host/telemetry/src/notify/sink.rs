//! [`NotifySink`]: takes events, and queues the messages about them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use leasehold_config::{Notify, NotifyKind};
use leasehold_lock::{BootTime, Token};
use leasehold_records::RunRecord;
use leasehold_supervisor::event::{Event, EventKind};
use leasehold_supervisor::event_log::{EventSink, JobView};
use tokio::sync::mpsc;

use super::draft::NoticeDraft;
use super::job_memory::{FailureReport, JobMemory};
use super::judge::{JudgedNotice, LimitPass, concerns, found_recovery, judge};
use super::limit::HourlyLimit;
use super::notice::NoticeSubject;

/// Sink of the event log. Clones share their state.
#[derive(Clone)]
pub(super) struct NotifySink {
    notify: Notify,
    queue: mpsc::Sender<NoticeDraft>,
    state: Arc<Mutex<SinkState>>,
}

#[derive(Debug)]
struct SinkState {
    jobs: BTreeMap<Arc<str>, JobMemory>,
    limit: HourlyLimit,
    /// Time of the newest event.
    now: Option<BootTime>,
    /// Messages left out since the last one.
    unreported: u64,
    /// Messages left out in all.
    dropped_in_all: u64,
    /// Messages queued in all.
    queued: u64,
}

impl NotifySink {
    pub(super) fn new(notify: Notify, queue: mpsc::Sender<NoticeDraft>) -> Self {
        let state = SinkState {
            jobs: BTreeMap::new(),
            limit: HourlyLimit::new(notify.per_hour()),
            now: None,
            unreported: 0,
            dropped_in_all: 0,
            queued: 0,
        };
        Self {
            notify,
            queue,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `step` to the state of a job that is known, and queues the messages that it returns.
    fn update(
        &self,
        job: &Arc<str>,
        now: Option<BootTime>,
        step: impl FnOnce(&mut JobMemory) -> Vec<JudgedNotice>,
    ) {
        let mut state = self.lock();
        state.now = state.now.max(now);
        let Some(memory) = state.jobs.get_mut(job) else {
            return;
        };
        let notices = step(memory);
        for judged in notices {
            self.pass(&mut state, job, judged);
        }
    }

    /// Makes the state of a job that is not known.
    fn remember(&self, job: &str) {
        let mut state = self.lock();
        if !state.jobs.contains_key(job) {
            let limit = HourlyLimit::new(self.notify.job_per_hour());
            state.jobs.insert(job.into(), JobMemory::new(limit));
        }
    }

    /// Queues a message that is on, within the limits.
    fn pass(&self, state: &mut SinkState, job: &Arc<str>, judged: JudgedNotice) {
        let kind = judged.draft.kind;
        let Some(now) = state.now.filter(|_| self.notify.is_on(kind)) else {
            return;
        };
        let has_room = state.limit.has_room(now);
        let Some(memory) = state.jobs.get_mut(job) else {
            return;
        };
        let has_room = memory.limit.has_room(now) && has_room;
        let may_pass = match judged.pass {
            LimitPass::Limited => has_room,
            LimitPass::Always => true,
            LimitPass::Never => false,
        };
        let draft = NoticeDraft {
            queued_at: SystemTime::now(),
            number: state.queued,
            dropped: state.unreported,
            ..judged.draft
        };
        let is_sent = may_pass && self.queue.try_send(draft).is_ok();
        if is_sent {
            memory.limit.take();
            state.limit.take();
            state.unreported = 0;
            state.queued += 1;
        } else {
            state.unreported += 1;
            state.dropped_in_all += 1;
        }
        if matches!(kind, NotifyKind::Failure | NotifyKind::LostLock) {
            memory.set_report(if is_sent {
                FailureReport::Sent
            } else {
                FailureReport::LeftOut
            });
        }
    }
}

impl EventSink for NotifySink {
    fn receive(&self, event: &Arc<Event>) {
        if !concerns(&event.kind) {
            return;
        }
        if let Some(about) = NoticeSubject::of_event(event) {
            // The task that writes records may find an abandoned run after its job was removed.
            if !matches!(event.kind, EventKind::RunAbandoned(_)) {
                self.remember(&about.job);
            }
            let judge = |memory: &mut JobMemory| judge(event, &about, memory);
            self.update(&about.job, Some(event.at), judge);
        }
    }

    fn job_changed(&self, _: &Arc<str>, view: &JobView<'_>) {
        self.remember(&view.record.job);
    }

    fn job_gone(&self, _: &Arc<str>, job: &str) {
        self.lock().jobs.remove(job);
    }

    fn failed_elsewhere(&self, host: &Arc<str>, run: &RunRecord, success: Option<Token>) {
        let mut about = NoticeSubject {
            host: host.clone(),
            wall: SystemTime::now(),
            job: run.job.as_str().into(),
            lock: Some(run.lock.as_str().into()),
            token: None,
            run: None,
        };
        let job = about.job.clone();
        self.update(&job, None, |memory| {
            let Some(success) = memory.find_failed(run.token, success) else {
                return Vec::new();
            };
            about.token = Some(success);
            vec![found_recovery(about)]
        });
    }

    fn dropped(&self) -> u64 {
        self.lock().dropped_in_all
    }
}
