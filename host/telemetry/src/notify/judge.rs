//! From an event to messages. Pure.

use leasehold_config::NotifyKind;
use leasehold_supervisor::event::{AbandonedRun, Event, EventKind, MissedTicks};

use super::job_memory::{FailureReport, JobMemory, StartedRun};
use super::notice::{Notice, NoticeFacts, NoticeSubject};

/// A message, and the way it passes the limits.
#[derive(Debug)]
pub(super) struct JudgedNotice {
    pub(super) notice: Notice,
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
    event: &Event,
    about: &NoticeSubject,
    memory: &mut JobMemory,
) -> Vec<JudgedNotice> {
    let token = event.context.token;
    let (kind, summary, facts) = match &event.kind {
        EventKind::RunStarted { attempt, tick, .. } => {
            memory.started = Some(StartedRun {
                id: event.context.run.clone(),
                attempt: *attempt,
                tick: tick.as_deref().map(Into::into),
            });
            return Vec::new();
        }
        EventKind::RunEnded {
            outcome, detail, ..
        } => return judge_end(event, about, memory, (outcome, detail)),
        EventKind::RunAbandoned(run) => return judge_abandoned(run, about, memory),
        EventKind::LockLost { reason, .. } => {
            let facts = NoticeFacts {
                outcome: Some("lost"),
                detail: reason.clone(),
                failures: memory.fail(token),
                ..facts_of_run(event, memory)
            };
            let summary = format!("lost its lock on {}", about.host);
            (NotifyKind::LostLock, summary, facts)
        }
        // The end of a run was a message of its own.
        EventKind::JobFailed { .. } if memory.is_failing() => return Vec::new(),
        EventKind::JobFailed { error } => {
            let facts = NoticeFacts {
                detail: error.clone(),
                failures: memory.fail(token),
                ..NoticeFacts::default()
            };
            let summary = format!("failed for good on {}", about.host);
            (NotifyKind::Failure, summary, facts)
        }
        EventKind::Quarantined { until, .. } => {
            let facts = NoticeFacts {
                outcome: Some("crashed"),
                detail: format!("its plugin is not run on this host before {until}"),
                failures: memory.fail(token),
                ..NoticeFacts::default()
            };
            let summary = format!("brought the process of {} down", about.host);
            (NotifyKind::Failure, summary, facts)
        }
        EventKind::TicksMissed(missed) => {
            let (summary, facts) = describe_missed(missed);
            (NotifyKind::MissedTick, summary, facts)
        }
        _ => return Vec::new(),
    };
    vec![limited(kind, about, &summary, facts)]
}

/// Returns the summary and the facts of missed ticks.
fn describe_missed(missed: &MissedTicks) -> (String, NoticeFacts) {
    let MissedTicks { first, last, count } = missed;
    let summary = match count {
        1 => format!("missed the tick of {first}"),
        _ => format!("missed {count} ticks, from {first} to {last}"),
    };
    let facts = NoticeFacts {
        missed: Some(missed.clone()),
        ..NoticeFacts::default()
    };
    (summary, facts)
}

/// Notes a run of another host that has no end. A success may have followed it already.
fn judge_abandoned(
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
        detail: "the host vanished or could not reach the store".into(),
        failures: 1,
        ..NoticeFacts::default()
    };
    let summary = format!("was cut off on {ran_on}");
    let mut notices = vec![limited(NotifyKind::Failure, about, &summary, facts)];
    if success.is_some() {
        let about = NoticeSubject {
            token: success,
            run: None,
            ..about.clone()
        };
        let past = (FailureReport::Unknown, 1);
        notices.push(recovery(&about, past, NoticeFacts::default()));
    }
    notices
}

/// Notes the end of a run.
fn judge_end(
    event: &Event,
    about: &NoticeSubject,
    memory: &mut JobMemory,
    (outcome, detail): (&'static str, &str),
) -> Vec<JudgedNotice> {
    let token = event.context.token;
    let facts = NoticeFacts {
        outcome: Some(outcome),
        detail: detail.to_owned(),
        ..facts_of_run(event, memory)
    };
    match outcome {
        "done" | "again" => {
            let Some(streak) = memory.succeed(token) else {
                return Vec::new();
            };
            let past = (streak.report, streak.count);
            vec![recovery(about, past, facts)]
        }
        // A run was stopped with its host or by an operator; the loss of a lock was a message of its own.
        "stopped" | "lost" => Vec::new(),
        _ => {
            let failures = memory.fail(token);
            let facts = NoticeFacts { failures, ..facts };
            let summary = format!("failed on {} ({outcome})", about.host);
            vec![limited(NotifyKind::Failure, about, &summary, facts)]
        }
    }
}

/// Makes the message about a success that ends failures. It is sent exactly if one of them was.
pub(super) fn recovery(
    about: &NoticeSubject,
    (report, failures): (FailureReport, u64),
    facts: NoticeFacts,
) -> JudgedNotice {
    let summary = match failures {
        1 => format!("succeeded on {} after a failure", about.host),
        _ => format!("succeeded on {} after {failures} failures", about.host),
    };
    let facts = NoticeFacts { failures, ..facts };
    JudgedNotice {
        notice: Notice::new(NotifyKind::Recovery, about, &summary, facts),
        pass: match report {
            FailureReport::Sent => LimitPass::Always,
            FailureReport::LeftOut => LimitPass::Never,
            FailureReport::Unknown => LimitPass::Limited,
        },
    }
}

fn limited(
    kind: NotifyKind,
    about: &NoticeSubject,
    summary: &str,
    facts: NoticeFacts,
) -> JudgedNotice {
    JudgedNotice {
        notice: Notice::new(kind, about, summary, facts),
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
