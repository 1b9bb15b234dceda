//! Counters of one host.

use leasehold_lock::{RequestResult, StreamKind};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Bounds of times of requests and hand-offs, in seconds.
const QUICK: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Bounds of the time left at a renewal, in seconds.
const LEFT: [f64; 8] = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// Bounds of compile times, in seconds.
const COMPILES: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The streams of the label `stream`, in its order.
pub(super) const STREAMS: [(&str, StreamKind); 2] = [
    ("renewals", StreamKind::Renewals),
    ("watches", StreamKind::Watches),
];

/// Counters of one host.
#[derive(Debug)]
pub(crate) struct HostMetrics {
    pub(crate) renewals_sent: Counter,
    pub(crate) renewals: Counter,
    pub(crate) renewals_late: Counter,
    pub(crate) renewal_time: Histogram,
    pub(crate) renewal_margin: Histogram,
    pub(crate) sessions_lost: Counter,
    pub(crate) hand_off: Histogram,
    pub(crate) store_time: Histogram,
    store_requests: [Counter; RequestResult::ALL.len()],
    pub(crate) store_retries: Counter,
    broken_streams: [Counter; STREAMS.len()],
    pub(crate) endpoint_changes: Counter,
    pub(crate) store_outages: Counter,
    pub(crate) compile_time: Histogram,
    pub(crate) plugins_refused: Counter,
    pub(crate) configs_refused: Counter,
    pub(crate) reloads: Counter,
    pub(crate) records_dropped: Counter,
}

impl HostMetrics {
    pub(crate) fn new() -> Self {
        Self {
            renewals_sent: Counter::default(),
            renewals: Counter::default(),
            renewals_late: Counter::default(),
            renewal_time: Histogram::new(QUICK),
            renewal_margin: Histogram::new(LEFT),
            sessions_lost: Counter::default(),
            hand_off: Histogram::new(QUICK),
            store_time: Histogram::new(QUICK),
            store_requests: Default::default(),
            store_retries: Counter::default(),
            broken_streams: Default::default(),
            endpoint_changes: Counter::default(),
            store_outages: Counter::default(),
            compile_time: Histogram::new(COMPILES),
            plugins_refused: Counter::default(),
            configs_refused: Counter::default(),
            reloads: Counter::default(),
            records_dropped: Counter::default(),
        }
    }

    /// Counts a request to the store.
    pub(crate) fn count_request(&self, result: RequestResult) {
        let all = RequestResult::ALL.iter().zip(&self.store_requests);
        for (_, counter) in all.filter(|(known, _)| **known == result) {
            counter.inc();
        }
    }

    /// Returns the number of requests with the result at this place of [`RequestResult::ALL`].
    pub(super) fn requests(&self, at: usize) -> u64 {
        self.store_requests.get(at).map_or(0, Counter::get)
    }

    /// Counts a broken stream.
    pub(crate) fn count_broken(&self, stream: StreamKind) {
        let all = STREAMS.iter().zip(&self.broken_streams);
        for (_, counter) in all.filter(|((_, known), _)| *known == stream) {
            counter.inc();
        }
    }

    /// Returns the number of broken streams of the kind at this place of [`STREAMS`].
    pub(super) fn broken(&self, at: usize) -> u64 {
        self.broken_streams.get(at).map_or(0, Counter::get)
    }
}
