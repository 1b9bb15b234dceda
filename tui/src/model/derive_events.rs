//! Deriving events and lock statistics from changes.

use std::sync::Arc;

use leasehold_lock::{Revision, Token};
use leasehold_records::{JobState, Outcome, UnixMs, lock_names};

use super::event::{EventKind, StoreEvent};
use super::history::HistoryStep;
use super::lock::LeaveReason;
use super::store_item::StoreItem;
use super::store_model::Model;

impl Model {
    /// Emits an event that belongs to the next step.
    pub(super) fn emit(
        &mut self,
        at: UnixMs,
        revision: Revision,
        lock: Option<Arc<str>>,
        kind: EventKind,
    ) {
        let step = self.history.next() + 1;
        self.events.push(StoreEvent {
            at_unix_ms: at,
            step,
            revision,
            lock,
            kind,
        });
    }

    /// Emits an event that changes no key.
    pub(super) fn emit_between_steps(&mut self, at: UnixMs, revision: Revision, kind: EventKind) {
        let step = self.history.next();
        self.events.push(StoreEvent {
            at_unix_ms: at,
            step,
            revision,
            lock: None,
            kind,
        });
    }

    /// Adds an event to the statistics of a lock.
    pub(super) fn record_stats(&mut self, at: UnixMs, lock: &Arc<str>, event: &EventKind) {
        let stats = self.lock_stats.entry(lock.clone()).or_default();
        match event {
            EventKind::Ends {
                held_ms, parting, ..
            } => {
                if let Some(held_ms) = held_ms {
                    stats.holds.push(at, *held_ms);
                }
                if *parting != LeaveReason::Released {
                    stats.takeovers.push(at, held_ms.unwrap_or(0));
                }
            }
            EventKind::Passes {
                held_ms,
                parting,
                to,
                waited_ms,
                ..
            } => {
                if let Some(held_ms) = held_ms {
                    stats.holds.push(at, *held_ms);
                }
                if let Some(waited_ms) = waited_ms {
                    stats.waits.push(at, *waited_ms);
                }
                if *parting != LeaveReason::Released {
                    stats.takeovers.push(at, held_ms.unwrap_or(0));
                }
                stats.passing = Some((to.token(), at));
            }
            _ => {}
        }
    }

    /// Derives the event of a step, whatever lock it is about.
    pub(super) fn derive_step_events(&mut self, step: &HistoryStep) {
        let label = |lock: &str| Some(Arc::from(lock));
        let (lock, kind) = match (&step.before, &step.after) {
            (before, Some(StoreItem::Run(_, run))) => {
                let ran = match before {
                    Some(StoreItem::Run(_, was)) => was.outcome == Outcome::Running,
                    _ => true,
                };
                match run.outcome {
                    Outcome::Running if before.is_none() => {
                        (label(&run.lock), EventKind::RunStarts(run.clone()))
                    }
                    Outcome::Running => return,
                    _ if ran => (label(&run.lock), EventKind::RunEnds(run.clone())),
                    _ => return,
                }
            }
            (_, Some(StoreItem::Job(job))) => {
                if job.state == JobState::Running {
                    for lock in lock_names(&job.lock) {
                        self.record_handoff(step.at_unix_ms, lock, job.token);
                    }
                }
                return;
            }
            (before, Some(StoreItem::Host(host))) => {
                let same = matches!(before, Some(StoreItem::Host(was)) if was.record.pid == host.record.pid);
                if same {
                    return;
                }
                (None, EventKind::HostUp(host.clone()))
            }
            (Some(StoreItem::Host(host)), None) => (None, EventKind::HostGone(host.clone())),
            (None, Some(StoreItem::Deed(deed))) => {
                let lock = self.scope.label(&deed.lock);
                let lock = label(&lock).filter(|_| !deed.lock.is_empty());
                (lock, EventKind::Deed(deed.clone()))
            }
            _ => return,
        };
        self.emit(step.at_unix_ms, step.revision, lock, kind);
    }

    /// Records a hand-off as complete once the job of the new holder runs.
    pub(super) fn record_handoff(&mut self, at: UnixMs, lock: &str, token: Option<Token>) {
        let name = self.scope.root().lock(lock);
        if let Some(stats) = self.lock_stats.get_mut(name.as_str())
            && let Some((passing, since)) = stats.passing
            && token == Some(passing)
        {
            stats.passing = None;
            stats.handoffs.push(at, at.millis_since(since));
        }
    }
}
