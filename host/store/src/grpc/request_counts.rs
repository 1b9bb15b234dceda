//! Numbers of requests by method and outcome, for metrics.
//!
//! All methods are known before the first request, so a client cannot make the table grow.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::method_table::{METHODS, kind};

/// Number of status codes, OK included.
const CODES: usize = 17;

/// Names of the status codes, in the spelling of Go's metrics.
const CODE_NAMES: [&str; CODES] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// Numbers of requests by method and outcome.
#[derive(Debug)]
pub(crate) struct RequestCounts {
    by_path: HashMap<String, usize>,
    /// The last one counts requests to methods that do not exist.
    methods: Vec<MethodCounts>,
}

/// Numbers of the requests to one method.
#[derive(Debug)]
pub(crate) struct MethodCounts {
    /// The service.
    pub(crate) service: &'static str,
    /// The method.
    pub(crate) method: &'static str,
    started: AtomicU64,
    ended: [AtomicU64; CODES],
}

impl MethodCounts {
    fn new(service: &'static str, method: &'static str) -> Self {
        Self {
            service,
            method,
            started: AtomicU64::new(0),
            ended: Default::default(),
        }
    }

    /// Returns the kind of the method, in the words of Go's metrics.
    pub(crate) fn kind(&self) -> &'static str {
        kind(self.service, self.method)
    }

    /// Returns the number of requests that began.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that ended, by the name of their status. Those without any are left out.
    pub(crate) fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.ended.iter().map(|count| count.load(Ordering::Relaxed));
        CODE_NAMES
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }

    /// Returns the number of requests that are open.
    pub(crate) fn open(&self) -> u64 {
        let ended: u64 = self.ended().map(|(_, count)| count).sum();
        // The two are not read at the same moment.
        self.started().saturating_sub(ended)
    }
}

impl Default for RequestCounts {
    fn default() -> Self {
        let (mut by_path, mut methods) = (HashMap::new(), Vec::new());
        for (service, names) in METHODS {
            for method in names.split_whitespace() {
                by_path.insert(format!("/{service}/{method}"), methods.len());
                methods.push(MethodCounts::new(service, method));
            }
        }
        methods.push(MethodCounts::new("unknown", "unknown"));
        Self { by_path, methods }
    }
}

impl RequestCounts {
    /// Returns the counts of all methods.
    pub(crate) fn methods(&self) -> &[MethodCounts] {
        &self.methods
    }

    /// Counts the start of a request to the method at `path`.
    pub(super) fn begin(self: &Arc<Self>, path: &str) -> OpenRequest {
        let known = self.by_path.get(path).copied();
        let method = known.unwrap_or(self.methods.len() - 1);
        self.methods[method].started.fetch_add(1, Ordering::Relaxed);
        OpenRequest {
            counts: Arc::clone(self),
            method,
            code: tonic::Code::Cancelled,
        }
    }
}

/// A request under way. Its end is counted when it is dropped: as cancelled, unless another code was set.
#[derive(Debug)]
pub(super) struct OpenRequest {
    counts: Arc<RequestCounts>,
    method: usize,
    code: tonic::Code,
}

impl OpenRequest {
    /// Sets the status with which the request ends.
    pub(super) const fn set_code(&mut self, code: tonic::Code) {
        self.code = code;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let ended = &self.counts.methods[self.method].ended;
        if let Some(count) = ended.get(self.code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
