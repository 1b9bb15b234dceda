//! [`Exporter`]: the task that sends traces, one request after the other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leasehold_config::Otlp;
use leasehold_lock::Clock;
use leasehold_supervisor::event::{EventContext, EventKind, TraceOutage, TraceReturn};
use leasehold_supervisor::event_log::EventLog;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::counts::TraceCounts;
use super::message::make_request;
use super::outage::CollectorState;
use super::span::FinishedTrace;
use super::transport::{SendFailure, Transport};

/// Time for which further traces join a request.
const LINGER: Duration = Duration::from_millis(500);
/// Number of spans after which a request waits for no further trace.
const MANY_SPANS: usize = 512;
/// Pauses before a request is repeated.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// The task and its state.
pub(super) struct Exporter {
    endpoint: String,
    transport: Transport,
    clock: Arc<dyn Clock>,
    counts: Arc<TraceCounts>,
    event_log: Arc<OnceLock<EventLog>>,
    closing: CancellationToken,
    collector: CollectorState,
}

impl Exporter {
    pub(super) fn new(
        otlp: Otlp,
        clock: Arc<dyn Clock>,
        counts: Arc<TraceCounts>,
        event_log: Arc<OnceLock<EventLog>>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            endpoint: otlp.endpoint().to_string(),
            transport: Transport::new(otlp),
            clock,
            counts,
            event_log,
            closing,
            collector: CollectorState::Reached,
        }
    }

    /// Sends until the end is requested and nothing waits.
    pub(super) async fn run(mut self, mut traces: mpsc::Receiver<FinishedTrace>) {
        loop {
            let batch = self.gather(&mut traces).await;
            if batch.is_empty() {
                return;
            }
            self.deliver(batch).await;
        }
    }

    /// Waits for a trace, and takes those that follow soon. Empty at the end.
    async fn gather(&self, traces: &mut mpsc::Receiver<FinishedTrace>) -> Vec<FinishedTrace> {
        let first = tokio::select! {
            biased;
            trace = traces.recv() => trace,
            () = self.closing.cancelled() => None,
        };
        let mut batch = Vec::from_iter(first);
        let mut spans = batch.iter().map(|trace| trace.spans.len()).sum::<usize>();
        let more = async {
            while !batch.is_empty() && spans < MANY_SPANS {
                let next = tokio::select! {
                    biased;
                    trace = traces.recv() => trace,
                    () = self.closing.cancelled() => None,
                };
                let Some(trace) = next else {
                    return;
                };
                spans += trace.spans.len();
                batch.push(trace);
            }
        };
        // What has been taken stays in the batch.
        let _ = tokio::time::timeout(LINGER, more).await;
        batch
    }

    /// Sends a request, again after a while if that may help, and drops what is not taken.
    async fn deliver(&mut self, batch: Vec<FinishedTrace>) {
        let spans = batch.iter().map(|trace| trace.spans.len()).sum::<usize>();
        let request = make_request(batch);
        let mut pauses = PAUSES.into_iter();
        loop {
            let failure = match self.transport.send(&request).await {
                Ok(rejected) => {
                    let rejected = usize::try_from(rejected).unwrap_or(spans).min(spans);
                    self.counts.send_spans(spans - rejected);
                    self.counts.drop_spans(rejected);
                    return self.log_reached();
                }
                Err(failure) => failure,
            };
            let pause = pauses
                .next()
                .filter(|_| failure.may_pass && !self.closing.is_cancelled());
            self.log_failure(failure, pause.is_none());
            let Some(pause) = pause else {
                self.counts.drop_spans(spans);
                return;
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The last traces are tried once more.
                () = self.closing.cancelled() => {}
            }
        }
    }

    fn log_failure(&mut self, failure: SendFailure, is_final: bool) {
        let (now, dropped) = (self.clock.now(), self.counts.dropped());
        if let Some(silent) = self.collector.fail(now, dropped, is_final) {
            self.log(EventKind::TracesFailed(TraceOutage {
                endpoint: self.endpoint.clone(),
                error: failure.error,
                silent_ms: leasehold_records::whole_millis(silent),
            }));
        }
    }

    fn log_reached(&mut self) {
        let (now, dropped) = (self.clock.now(), self.counts.dropped());
        if let Some(end) = self.collector.reach(now, dropped) {
            self.log(EventKind::TracesBack(TraceReturn {
                endpoint: self.endpoint.clone(),
                away_ms: leasehold_records::whole_millis(end.lasted),
                dropped: end.dropped,
            }));
        }
    }

    fn log(&self, kind: EventKind) {
        if let Some(event_log) = self.event_log.get() {
            event_log.emit(EventContext::default(), kind);
        }
    }
}
