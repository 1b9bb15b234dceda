//! The trace that a run belongs to: its identity for the guest, and the observer of slow host calls.
//!
//! Plain data. This crate knows no format and no collector of traces.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::BootTime;

/// Shortest call that is reported.
pub const SLOW_CALL: Duration = Duration::from_millis(1);

/// The trace of one run.
#[derive(Clone, Debug)]
pub struct RunTrace {
    /// Value of the header `traceparent` of W3C Trace Context. The guest's part of the trace is the parent that it names.
    pub traceparent: String,
    /// Observer of slow calls. `None` takes no time of any call.
    pub calls: Option<Arc<dyn CallObserver>>,
}

/// A host call, or a request over HTTP, that took [`SLOW_CALL`] or longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// Interface and, where it is known, function: `fenced-kv.put`, `wasi:io/poll`. For a request, `http` with its method
    /// and the origin.
    pub name: Cow<'static, str>,
    /// Time at which the call was admitted.
    pub started: BootTime,
    /// Time at which it returned, or at which the end of the run cut it off.
    pub ended: BootTime,
}

/// Observer of the slow calls of one run.
///
/// It is called on the guest's worker: it must return at once, and drop and count what it has no room for.
pub trait CallObserver: fmt::Debug + Send + Sync {
    /// Receives a call that has ended.
    fn call_ended(&self, call: HostCall);
}
