//! [`NoticeDraft`]: the facts of a message, as they are queued. Pure.
//!
//! Events come on the workers that run guests, one after the other. So texts are made by the courier.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use leasehold_config::NotifyKind;
use leasehold_supervisor::event::{AbandonedRun, Event, EventKind, MissedTicks};

use super::notice::{Notice, NoticeFacts, NoticeSubject};

/// A message without its texts.
#[derive(Debug)]
pub(super) struct NoticeDraft {
    pub(super) kind: NotifyKind,
    pub(super) about: NoticeSubject,
    /// Facts of the occasion, but for the detail and missed ticks: these come from the event.
    pub(super) facts: NoticeFacts,
    /// The event. `None` for a recovery that was found in the store.
    pub(super) event: Option<Arc<Event>>,
    /// Time of queueing.
    pub(super) queued_at: SystemTime,
    /// Messages queued before.
    pub(super) number: u64,
    /// Messages left out since the last one.
    pub(super) dropped: u64,
}

impl NoticeDraft {
    /// Makes the message.
    pub(super) fn write(self) -> Notice {
        let since_epoch = self.queued_at.duration_since(UNIX_EPOCH);
        let millis = since_epoch.unwrap_or_default().as_millis();
        let id = format!("{}-{millis}-{}", self.about.host, self.number);
        let event = self.event.as_deref().map(|event| &event.kind);
        let summary = self.summarize(event);
        let facts = NoticeFacts {
            detail: event.map(describe).unwrap_or_default(),
            missed: match event {
                Some(EventKind::TicksMissed(missed)) => Some(missed.clone()),
                _ => None,
            },
            ..self.facts
        };
        Notice {
            id,
            dropped: self.dropped,
            ..Notice::new(self.kind, &self.about, &summary, facts)
        }
    }

    /// Returns the summary, which follows the job's name.
    fn summarize(&self, event: Option<&EventKind>) -> String {
        let host = &self.about.host;
        if self.kind == NotifyKind::Recovery {
            return match self.facts.failures {
                1 => format!("succeeded on {host} after a failure"),
                failures => format!("succeeded on {host} after {failures} failures"),
            };
        }
        match event {
            Some(EventKind::RunEnded { outcome, .. }) => format!("failed on {host} ({outcome})"),
            Some(EventKind::LockLost { .. }) => format!("lost its lock on {host}"),
            Some(EventKind::Quarantined { .. }) => format!("brought the process of {host} down"),
            Some(EventKind::RunAbandoned(AbandonedRun { ran_on, .. })) => {
                format!("was cut off on {ran_on}")
            }
            Some(EventKind::TicksMissed(MissedTicks { first, last, count })) => match count {
                1 => format!("missed the tick of {first}"),
                _ => format!("missed {count} ticks, from {first} to {last}"),
            },
            _ => format!("failed for good on {host}"),
        }
    }
}

/// Returns the reason that an event has, for people.
fn describe(event: &EventKind) -> String {
    match event {
        EventKind::RunEnded { detail, .. } => detail.clone(),
        EventKind::LockLost { reason, .. } => reason.clone(),
        EventKind::JobFailed { error } => error.clone(),
        EventKind::Quarantined { until, .. } => {
            format!("its plugin is not run on this host before {until}")
        }
        EventKind::RunAbandoned(_) => "the host vanished or could not reach the store".to_owned(),
        _ => String::new(),
    }
}
