//! From an event to messages. Pure.

use std::sync::Arc;

use leasehold_config::NotifyKind;
use leasehold_supervisor::event::{AbandonedRun, Event, EventKind};

use super::draft::NoticeDraft;
use super::job_memory::{FailureReport, JobMemory, StartedRun};
use super::notice::{NoticeFacts, NoticeSubject};

/// A message, and the way it passes the limits.
#[derive(Debug)]
pub(super) struct JudgedNotice {
    pub(super) draft: NoticeDraft,
    pub(super) pass: LimitPass,
}

/// Way of a message past the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitPass {
    /// It is sent if there is room.
    Limited,
    /// It is sent in any case: it ends a failure that was sent.
    Always,
    /// It is left out: it ends a failure that was left out.
    Never,
}

/// True for events that can make a message, or that messages draw on.
pub(super) const fn concerns(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::RunStarted { .. }
            | EventKind::RunEnded { .. }
            | EventKind::LockLost { .. }
            | EventKind::JobFailed { .. }
            | EventKind::Quarantined { .. }
            | EventKind::TicksMissed(_)
            | EventKind::RunAbandoned(_)
    )
}

/// Notes an event of a job, and returns the messages about it.
pub(super) fn judge(
    event: &Arc<Event>,
    about: &NoticeSubject,
    memory: &mut JobMemory,
) -> Vec<JudgedNotice> {
    let token = event.context.token;
    let (kind, facts) = match &event.kind {
        EventKind::RunStarted { attempt, tick, .. } => {
            memory.started = Some(StartedRun {
                id: event.context.run.clone(),
                attempt: *attempt,
                tick: tick.as_deref().map(Into::into),
            });
            return Vec::new();
        }
        EventKind::RunEnded { outcome, .. } => return judge_end(event, about, memory, outcome),
        EventKind::RunAbandoned(run) => return judge_abandoned(event, run, about, memory),
        EventKind::LockLost { .. } => {
            let facts = NoticeFacts {
                outcome: Some("lost"),
                failures: memory.fail(token),
                ..facts_of_run(event, memory)
            };
            (NotifyKind::LostLock, facts)
        }
        // The end of a run was a message of its own.
        EventKind::JobFailed { .. } if memory.is_failing() => return Vec::new(),
        EventKind::JobFailed { .. } => {
            let facts = NoticeFacts {
                failures: memory.fail(token),
                ..NoticeFacts::default()
            };
            (NotifyKind::Failure, facts)
        }
        EventKind::Quarantined { .. } => {
            let facts = NoticeFacts {
                outcome: Some("crashed"),
                failures: memory.fail(token),
                ..NoticeFacts::default()
            };
            (NotifyKind::Failure, facts)
        }
        EventKind::TicksMissed(_) => (NotifyKind::MissedTick, NoticeFacts::default()),
        _ => return Vec::new(),
    };
    vec![limited(kind, about, facts, event)]
}

/// Notes a run of another host that has no end. A success may have followed it already.
fn judge_abandoned(
    event: &Arc<Event>,
    run: &AbandonedRun,
    about: &NoticeSubject,
    memory: &mut JobMemory,
) -> Vec<JudgedNotice> {
    let AbandonedRun {
        ran_on,
        attempt,
        tick,
    } = run;
    let success = about
        .token
        .and_then(|token| memory.find_failed(token, None));
    let facts = NoticeFacts {
        ran_on: Some(ran_on.as_str().into()),
        attempt: Some(*attempt),
        tick: tick.as_deref().map(Into::into),
        outcome: Some("abandoned"),
        failures: 1,
        ..NoticeFacts::default()
    };
    let mut notices = vec![limited(NotifyKind::Failure, about, facts, event)];
    if success.is_some() {
        let about = NoticeSubject {
            token: success,
            run: None,
            ..about.clone()
        };
        notices.push(found_recovery(about));
    }
    notices
}

/// Notes the end of a run.
fn judge_end(
    event: &Arc<Event>,
    about: &NoticeSubject,
    memory: &mut JobMemory,
    outcome: &'static str,
) -> Vec<JudgedNotice> {
    let token = event.context.token;
    let facts = NoticeFacts {
        outcome: Some(outcome),
        ..facts_of_run(event, memory)
    };
    match outcome {
        "done" | "again" => {
            let Some(streak) = memory.succeed(token) else {
                return Vec::new();
            };
            let failures = streak.count;
            let facts = NoticeFacts { failures, ..facts };
            let pass = match streak.report {
                FailureReport::Sent => LimitPass::Always,
                FailureReport::LeftOut => LimitPass::Never,
                FailureReport::Unknown => LimitPass::Limited,
            };
            let recovery = limited(NotifyKind::Recovery, about, facts, event);
            // It is sent exactly if one of the failures was.
            vec![JudgedNotice { pass, ..recovery }]
        }
        // A run was stopped with its host or by an operator; the loss of a lock was a message of its own.
        "stopped" | "lost" => Vec::new(),
        _ => {
            let failures = memory.fail(token);
            let facts = NoticeFacts { failures, ..facts };
            vec![limited(NotifyKind::Failure, about, facts, event)]
        }
    }
}

/// Makes the message about a success that ended a failure on another host.
pub(super) fn found_recovery(about: NoticeSubject) -> JudgedNotice {
    let facts = NoticeFacts {
        failures: 1,
        ..NoticeFacts::default()
    };
    draft(NotifyKind::Recovery, about, facts, None)
}

fn limited(
    kind: NotifyKind,
    about: &NoticeSubject,
    facts: NoticeFacts,
    event: &Arc<Event>,
) -> JudgedNotice {
    draft(kind, about.clone(), facts, Some(event.clone()))
}

fn draft(
    kind: NotifyKind,
    about: NoticeSubject,
    facts: NoticeFacts,
    event: Option<Arc<Event>>,
) -> JudgedNotice {
    let draft = NoticeDraft {
        kind,
        queued_at: about.wall,
        about,
        facts,
        event,
        number: 0,
        dropped: 0,
    };
    JudgedNotice {
        draft,
        pass: LimitPass::Limited,
    }
}

/// Returns the facts of the run that an event is about, as far as its start was seen.
fn facts_of_run(event: &Event, memory: &JobMemory) -> NoticeFacts {
    let is_same = |run: &&StartedRun| run.id.is_some() && run.id == event.context.run;
    let run = memory.started.as_ref().filter(is_same);
    NoticeFacts {
        ran_on: Some(event.host.clone()),
        attempt: run.map(|run| run.attempt),
        tick: run.and_then(|run| run.tick.clone()),
        ..NoticeFacts::default()
    }
}
