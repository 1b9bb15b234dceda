//! Traces of runs, sent to a collector of `OpenTelemetry`: `[otlp]`.
//!
//! ```text
//! supervisor ──run_begins──▶ TraceSink ──▶ traceparent, CallLog ──▶ runtime
//! event log ──▶ TraceSink ──▶ TracedRun ──▶ queue ──▶ Exporter ──▶ gRPC, HTTP
//! ```
//!
//! The sink keeps one run of each job, and queues its spans when its lock is given back, lost or kept for another run. It
//! never waits: a trace that finds the queue full is dropped and counted. One task sends. A collector that hangs delays
//! traces and nothing else.
//!
//! # Modules
//!
//! - `ids`: ids, the choice of runs, the header. `span`: spans as data. Both are pure.
//! - `traced_run`: from the facts of a run to its spans; pure. `call_log`: its slow host calls.
//! - `sink`: the way in. `counts`: spans sent and dropped.
//! - `exporter`: the task. `outage`: what it logs. `message`, `transport`: its means.

mod call_log;
mod counts;
mod exporter;
mod ids;
mod message;
mod outage;
mod sink;
mod span;
#[cfg(test)]
mod tests;
mod traced_run;
mod transport;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leasehold_config::Otlp;
use leasehold_lock::Clock;
use leasehold_supervisor::event_log::{EventLog, EventSink};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use counts::TraceCounts;
use exporter::Exporter;
use ids::RandomIds;
use sink::TraceSink;

/// Number of traces that may wait. Each has at most 133 spans.
const QUEUE: usize = 128;
/// Longest wait of a shutdown for the last traces.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Maker and sender of the traces of all hosts of a process.
pub struct Tracer {
    sink: TraceSink,
    counts: Arc<TraceCounts>,
    event_log: Arc<OnceLock<EventLog>>,
    closing: CancellationToken,
    exporter: JoinHandle<()>,
}

impl Tracer {
    /// Starts the task that sends. Must be called on the main runtime.
    pub fn start(otlp: &Otlp, clock: Arc<dyn Clock>) -> Self {
        let (queue, traces) = mpsc::channel(QUEUE);
        let (counts, event_log) = (Arc::<TraceCounts>::default(), Arc::default());
        let closing = CancellationToken::new();
        let exporter = Exporter::new(
            otlp.clone(),
            clock,
            counts.clone(),
            Arc::clone(&event_log),
            closing.clone(),
        );
        Self {
            sink: TraceSink::new(otlp.ratio(), Box::new(RandomIds), queue, counts.clone()),
            counts,
            event_log,
            closing,
            exporter: tokio::spawn(exporter.run(traces)),
        }
    }

    /// Returns the sink for the event log of the process.
    pub fn sink(&self) -> Box<dyn EventSink> {
        Box::new(self.sink.clone())
    }

    /// Logs outages of the collector.
    pub fn watch_log(&self, event_log: &EventLog) {
        let _ = self.event_log.set(event_log.clone());
    }

    /// Returns the counts of spans.
    pub(crate) const fn counts(&self) -> &Arc<TraceCounts> {
        &self.counts
    }

    /// Sends the waiting traces within two seconds, and ends the task.
    pub async fn finish(mut self) {
        self.sink.finish_ended();
        self.closing.cancel();
        let waited = tokio::time::timeout(LAST_WORDS, &mut self.exporter).await;
        let joined = if let Ok(joined) = waited {
            joined
        } else {
            self.exporter.abort();
            self.exporter.await
        };
        if let Err(error) = joined
            && error.is_panic()
        {
            tracing::error!(%error, "the task that sends traces panicked");
        }
    }
}
