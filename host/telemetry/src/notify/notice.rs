//! [`Notice`]: a message, as its recipients get it.
//!
//! The JSON form is an interface: names and meanings of fields stay, and new ones may come. `configs/README.md` lists
//! them.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_config::NotifyKind;
use leasehold_lock::Token;
use leasehold_records::printable;
use leasehold_supervisor::event::{Event, MissedTicks};
use serde::Serialize;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Notice {
    /// Version of this form.
    pub(super) version: u32,
    /// Id of the message, for recipients that get it twice. Set when the message is sent.
    pub(super) id: String,
    /// Its occasion.
    #[serde(serialize_with = "word")]
    pub(super) kind: NotifyKind,
    /// One line for people.
    pub(super) summary: String,
    /// Time of the event.
    pub(super) time: String,
    /// The host that sends the message.
    pub(super) host: Arc<str>,
    /// The job.
    pub(super) job: Arc<str>,
    /// The lock of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lock: Option<Arc<str>>,
    /// The fencing token of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<Token>,
    /// The id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<Arc<str>>,
    /// Facts of the occasion.
    #[serde(flatten)]
    pub(super) facts: NoticeFacts,
    /// Number of messages about any job that were left out since the last one. Set when the message is sent.
    pub(super) dropped: u64,
}

/// Facts of one occasion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct NoticeFacts {
    /// The host of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ran_on: Option<Arc<str>>,
    /// Number of the attempt, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
    /// The tick of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tick: Option<Arc<str>>,
    /// Outcome of the run, as in its record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    /// The reason, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
    /// Failures in a row, as far as this host has seen them. In a recovery: those before it.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) failures: u64,
    /// Missed ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missed: Option<MissedTicks>,
}

/// The run and the host that a message is about.
#[derive(Clone, Debug)]
pub(super) struct NoticeSubject {
    /// The host that sends the message.
    pub(super) host: Arc<str>,
    pub(super) wall: SystemTime,
    pub(super) job: Arc<str>,
    pub(super) lock: Option<Arc<str>>,
    pub(super) token: Option<Token>,
    pub(super) run: Option<Arc<str>>,
}

impl NoticeSubject {
    /// Returns the subject of an event; `None` if it is about no job.
    pub(super) fn of_event(event: &Event) -> Option<Self> {
        let context = &event.context;
        Some(Self {
            host: event.host.clone(),
            wall: event.wall,
            job: context.job.clone()?,
            lock: context.lock.clone(),
            token: context.token,
            run: context.run.clone(),
        })
    }
}

impl Notice {
    /// Makes a message. `summary` follows the job's name.
    pub(super) fn new(
        kind: NotifyKind,
        about: &NoticeSubject,
        summary: &str,
        mut facts: NoticeFacts,
    ) -> Self {
        facts.detail = printable::line(&facts.detail);
        let mut summary = format!("{} {summary}", about.job);
        if !facts.detail.is_empty() {
            summary.push_str(": ");
            summary.push_str(&facts.detail);
        }
        Self {
            version: 1,
            id: String::new(),
            kind,
            summary: printable::line(&summary),
            time: humantime::format_rfc3339_millis(about.wall).to_string(),
            host: about.host.clone(),
            job: about.job.clone(),
            lock: about.lock.clone(),
            token: about.token,
            run: about.run.clone(),
            facts,
            dropped: 0,
        }
    }

    /// Returns the message as one line of JSON.
    pub(super) fn to_json(&self) -> Vec<u8> {
        printable::json_line(self).into_bytes()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn word<S: serde::Serializer>(kind: &NotifyKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
