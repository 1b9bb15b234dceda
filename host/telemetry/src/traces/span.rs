//! Spans as data, before they become messages.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use super::ids::{SpanId, TraceId};

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SpanValue {
    Text(String),
    Number(u64),
}

/// Kind of a span, as collectors distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanRole {
    /// Work inside the host.
    Internal,
    /// A request to a server.
    Client,
}

/// One span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceSpan {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: Cow<'static, str>,
    pub(super) role: SpanRole,
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    pub(super) attributes: Vec<(&'static str, SpanValue)>,
    /// The error with which it ended.
    pub(super) error: Option<String>,
}

/// All spans of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FinishedTrace {
    pub(super) id: TraceId,
    pub(super) host: Arc<str>,
    pub(super) spans: Vec<TraceSpan>,
}
