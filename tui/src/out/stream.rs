//! `--stream`: one JSON object a line for each event.

use leasehold_lock::{Revision, Token};
use leasehold_records::UnixMs;
use serde::Serialize;

use crate::model::{EventKind, LeaveReason, StoreEvent};

/// An event in the stream.
#[derive(Debug, Default, Serialize)]
pub(crate) struct StreamLine {
    at_unix_ms: UnixMs,
    revision: Revision,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    /// The client that joined, acquired, waits or left.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    /// The previous holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parting: Option<LeaveReason>,
    /// The same as a sentence, for people.
    text: String,
}

impl StreamLine {
    /// Converts an event.
    pub(crate) fn from_event(event: &StoreEvent) -> Self {
        let mut line = Self {
            at_unix_ms: event.at_unix_ms,
            revision: event.revision,
            event: event.kind.word().to_lowercase(),
            lock: event.lock.as_deref().map(str::to_owned),
            text: event.kind.sentence(),
            ..Self::default()
        };
        match &event.kind {
            EventKind::Waits { who, ahead } => {
                line.who = Some(who.who.label());
                line.token = Some(who.token());
                line.place = Some(*ahead);
            }
            EventKind::Acquires { who } => {
                line.who = Some(who.who.label());
                line.token = Some(who.token());
            }
            EventKind::Ends {
                who,
                held_ms,
                parting,
            } => {
                line.who = Some(who.who.label());
                line.token = Some(who.token());
                line.held_ms = *held_ms;
                line.parting = Some(*parting);
            }
            EventKind::Passes {
                from,
                held_ms,
                parting,
                to,
                waited_ms,
            } => {
                line.who = Some(to.who.label());
                line.from = Some(from.who.label());
                line.token = Some(to.token());
                line.held_ms = *held_ms;
                line.waited_ms = *waited_ms;
                line.parting = Some(*parting);
            }
            EventKind::Leaves {
                who,
                place,
                parting,
            } => {
                line.who = Some(who.who.label());
                line.token = Some(who.token());
                line.place = Some(*place);
                line.parting = Some(*parting);
            }
            EventKind::RunStarts(run) | EventKind::RunEnds(run) => {
                line.who = Some(format!("{}@{}", run.job, run.host));
                line.token = Some(run.token);
            }
            EventKind::HostUp(host) | EventKind::HostGone(host) => {
                line.who = Some(host.record.host.clone());
            }
            EventKind::Deed(deed) => line.who = Some(deed.by.clone()),
            EventKind::Answer(_) | EventKind::Down(_) | EventKind::Live => {}
        }
        line
    }

    /// The line as JSON, with its newline.
    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers always serialize.
        let mut text =
            leasehold_records::printable::json(serde_json::to_string(self).unwrap_or_default());
        text.push('\n');
        text
    }
}
