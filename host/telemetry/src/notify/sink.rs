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

/// Most abandoned runs that are kept until their jobs are known.
const MOST_EARLY: usize = 64;

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
    /// Abandoned runs of jobs that are not known yet, the oldest first. `None` once a job was removed: a finding may be
    /// about that one.
    early: Option<Vec<Arc<Event>>>,
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
            early: Some(Vec::new()),
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

    /// Makes the state of a job that is not known, and takes the findings about it that came before.
    fn remember(&self, job: &str) {
        let mut state = self.lock();
        if state.jobs.contains_key(job) {
            return;
        }
        let limit = HourlyLimit::new(self.notify.job_per_hour());
        state.jobs.insert(job.into(), JobMemory::new(limit));
        let is_about = |event: &Arc<Event>| event.context.job.as_deref() == Some(job);
        let early = state.early.iter_mut();
        let early = early.flat_map(|early| early.extract_if(.., |event| is_about(event)));
        let early: Vec<_> = early.collect();
        drop(state);
        for event in early {
            self.receive(&event);
        }
    }

    /// Keeps a finding about a job that is not known; returns false if it is known. Of many, the newest are kept.
    fn put_off(&self, event: &Arc<Event>, job: &str) -> bool {
        let mut state = self.lock();
        if state.jobs.contains_key(job) {
            return false;
        }
        let has_room = match &mut state.early {
            Some(early) => {
                let is_full = early.len() == MOST_EARLY;
                if is_full {
                    early.remove(0);
                }
                early.push(event.clone());
                !is_full
            }
            // Jobs were removed: it is about one of those, and is not to be kept.
            None => true,
        };
        if !has_room {
            state.unreported += 1;
            state.dropped_in_all += 1;
        }
        true
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
            // An abandoned run may be found before the first turn of its job, or after its removal.
            if !matches!(event.kind, EventKind::RunAbandoned(_)) {
                self.remember(&about.job);
            } else if self.put_off(event, &about.job) {
                return;
            }
            let judge = |memory: &mut JobMemory| judge(event, &about, memory);
            self.update(&about.job, Some(event.at), judge);
        }
    }

    fn job_changed(&self, _: &Arc<str>, view: &JobView<'_>) {
        self.remember(&view.record.job);
    }

    fn job_gone(&self, _: &Arc<str>, job: &str) {
        let mut state = self.lock();
        state.jobs.remove(job);
        state.early = None;
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
