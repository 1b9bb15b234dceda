//! [`TracedRun`]: what is known about one run, and the spans that it becomes. Pure.
//!
//! ```text
//! run ─┬─ wait                 from the request for the lock to its grant
//!      └─ hold ─┬─ guest ── host calls
//!               └─ release     from the end of the run until the store confirms that the lock is given back
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{BootTime, Token};

use super::call_log::CallLog;
use super::ids::{IdSource, SpanId, TraceId};
use super::span::{FinishedTrace, SpanRole, SpanValue, TraceSpan};

/// A run that is traced, from its start.
#[derive(Debug)]
pub(super) struct TracedRun {
    pub(super) trace: TraceId,
    pub(super) root: SpanId,
    pub(super) hold: SpanId,
    pub(super) guest: SpanId,
    pub(super) job: Arc<str>,
    pub(super) lock: Arc<str>,
    pub(super) token: Token,
    pub(super) run: Arc<str>,
    pub(super) attempt: u32,
    pub(super) trigger: &'static str,
    pub(super) tick: Option<String>,
    /// Start of the run on both clocks. All times of the trace follow from this pair.
    pub(super) started: (BootTime, SystemTime),
    pub(super) calls: Arc<CallLog>,
    /// Time from the request for the lock to its grant.
    pub(super) waited: Duration,
    /// The grant, for the first run under it.
    pub(super) acquired: Option<LockGrant>,
    pub(super) loss: Option<LockLoss>,
    pub(super) ending: Option<RunEnding>,
}

/// The grant of the lock, for the first run under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockGrant {
    pub(super) token: Token,
    pub(super) granted: BootTime,
}

/// The loss of the lock in the middle of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LockLoss {
    pub(super) at: BootTime,
    pub(super) reason: String,
}

/// The end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunEnding {
    pub(super) at: BootTime,
    pub(super) outcome: &'static str,
    pub(super) detail: String,
    pub(super) guest: (BootTime, BootTime),
    pub(super) calls_admitted: u64,
    pub(super) calls_refused: u64,
    pub(super) peak_memory_bytes: u64,
    pub(super) writes_refused: u64,
}

/// The end of the release of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockRelease {
    pub(super) at: BootTime,
    pub(super) is_confirmed: bool,
}

impl RunEnding {
    /// Returns the error of a run that ended without its work done and was not stopped by its host.
    fn error(&self) -> Option<String> {
        match self.outcome {
            "done" | "again" | "stopped" => None,
            outcome if self.detail.is_empty() => Some(outcome.to_owned()),
            _ => Some(self.detail.clone()),
        }
    }
}

impl TracedRun {
    /// Returns the spans of a run that has ended; none before.
    pub(super) fn finish(
        &self,
        host: &Arc<str>,
        release: Option<LockRelease>,
        ids: &dyn IdSource,
    ) -> Option<FinishedTrace> {
        let ending = self.ending.as_ref()?;
        let ended = release.map_or(ending.at, |release| release.at);
        let mut spans = vec![self.root_span(host, ending, ended)];
        if let Some(LockGrant { granted, .. }) = self.acquired {
            let times = (granted.before(self.waited), granted);
            spans.push(self.span(SpanId::make(ids), self.root, "wait", times));
        }
        spans.push(self.hold_span(ended));
        let calls = self.calls.take();
        spans.push(self.guest_span(ending, calls.left_out));
        for call in calls.calls {
            let id = SpanId::make(ids);
            let is_request = call.name.starts_with("http ");
            let mut span = self.span(id, self.guest, "", (call.started, call.ended));
            span.name = call.name;
            if is_request {
                span.role = SpanRole::Client;
            }
            spans.push(span);
        }
        if let Some(release) = release {
            let times = (ending.at, release.at);
            let mut span = self.span(SpanId::make(ids), self.hold, "release", times);
            if !release.is_confirmed {
                span.error = Some("the store did not confirm the release".to_owned());
            }
            spans.push(span);
        }
        Some(FinishedTrace {
            id: self.trace,
            host: host.clone(),
            spans,
        })
    }

    fn root_span(&self, host: &str, ending: &RunEnding, ended: BootTime) -> TraceSpan {
        let (started, _) = self.started;
        let asked = self
            .acquired
            .map_or(started, |grant| grant.granted.before(self.waited));
        let text = |text: &str| SpanValue::Text(text.to_owned());
        let mut attributes = vec![
            ("leasehold.job", text(&self.job)),
            ("leasehold.lock", text(&self.lock)),
            ("leasehold.host", text(host)),
            ("leasehold.token", SpanValue::Number(self.token.get())),
            ("leasehold.run", text(&self.run)),
            ("leasehold.trigger", text(self.trigger)),
            ("leasehold.attempt", SpanValue::Number(self.attempt.into())),
            ("leasehold.outcome", text(ending.outcome)),
        ];
        if let Some(tick) = &self.tick {
            attributes.push(("leasehold.tick", text(tick)));
        }
        let error = ending.error();
        if error.is_none() && !ending.detail.is_empty() {
            attributes.push(("leasehold.detail", text(&ending.detail)));
        }
        TraceSpan {
            parent: None,
            attributes,
            error,
            ..self.span(self.root, self.root, "run", (asked, ended))
        }
    }

    /// The lock as held: until it is lost, given back, or kept for another run.
    fn hold_span(&self, ended: BootTime) -> TraceSpan {
        let (started, _) = self.started;
        let from = self.acquired.map_or(started, |grant| grant.granted);
        let until = self.loss.as_ref().map_or(ended, |loss| loss.at);
        TraceSpan {
            error: self.loss.as_ref().map(|loss| loss.reason.clone()),
            ..self.span(self.hold, self.root, "hold", (from, until))
        }
    }

    fn guest_span(&self, ending: &RunEnding, calls_left_out: u64) -> TraceSpan {
        let number = SpanValue::Number;
        let mut attributes = vec![
            ("leasehold.calls", number(ending.calls_admitted)),
            ("leasehold.calls_refused", number(ending.calls_refused)),
            ("leasehold.writes_refused", number(ending.writes_refused)),
            (
                "leasehold.peak_memory_bytes",
                number(ending.peak_memory_bytes),
            ),
        ];
        if calls_left_out > 0 {
            attributes.push(("leasehold.slow_calls_left_out", number(calls_left_out)));
        }
        TraceSpan {
            attributes,
            error: ending.error(),
            ..self.span(self.guest, self.hold, "guest", ending.guest)
        }
    }

    fn span(
        &self,
        id: SpanId,
        parent: SpanId,
        name: &'static str,
        (start, end): (BootTime, BootTime),
    ) -> TraceSpan {
        TraceSpan {
            id,
            parent: Some(parent),
            name: name.into(),
            role: SpanRole::Internal,
            start: self.wall(start),
            end: self.wall(end.max(start)),
            attributes: Vec::new(),
            error: None,
        }
    }

    /// Returns the wall time of a moment. A clock that is set during the run changes no length.
    fn wall(&self, at: BootTime) -> SystemTime {
        let (boot, wall) = self.started;
        let shifted = if at < boot {
            wall.checked_sub(boot.since(at))
        } else {
            wall.checked_add(at.since(boot))
        };
        shifted.unwrap_or(wall)
    }
}
