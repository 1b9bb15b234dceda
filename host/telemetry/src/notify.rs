//! Messages about failed runs, lost locks, missed ticks and recoveries: `[notify]`.
//!
//! ```text
//! event log ──▶ NotifySink ──▶ JobMemory, HourlyLimit ──▶ queue ──▶ Courier ──▶ program, HTTP
//! ```
//!
//! The sink decides at once and never waits; one task delivers, one message after the other. A message that finds the
//! queue full, or is beyond a limit, is left out and counted in the next one. A recipient that hangs delays messages
//! and nothing else.
//!
//! # Which host sends
//!
//! - The host of a run sends its failure and its lost lock.
//! - A run whose host vanished is sent by the host that records its end in the store: only one write succeeds.
//! - A missed tick is sent by the host that claims the next tick, under the fence of the lock.
//! - A recovery is sent by the host of the first success. It finds the failures of other hosts in the store.
//!
//! # Modules
//!
//! - `draft`: the facts of a message. `notice`: the message, with its texts. Both are pure.
//! - `job_memory`: the failures of one job. `limit`: messages an hour. Both are pure.
//! - `judge`: from an event to drafts. `sink`: the way in.
//! - `courier`: the task. `program`: the program it runs.

mod courier;
mod draft;
mod job_memory;
mod judge;
mod limit;
mod notice;
mod program;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leasehold_config::Notify;
use leasehold_supervisor::event_log::{EventLog, EventSink};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use courier::Courier;
use sink::NotifySink;

/// Number of messages that may wait.
const QUEUE: usize = 256;
/// Longest wait of a shutdown for the last messages.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Sender of messages for the hosts of a process.
pub struct Notifier {
    sink: NotifySink,
    event_log: Arc<OnceLock<EventLog>>,
    closing: CancellationToken,
    courier: JoinHandle<()>,
}

impl Notifier {
    /// Starts the task that delivers. Must be called on the main runtime.
    pub fn start(notify: &Notify) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE);
        let event_log = Arc::new(OnceLock::new());
        let closing = CancellationToken::new();
        let courier = Courier::new(notify.clone(), event_log.clone(), closing.clone());
        Self {
            sink: NotifySink::new(notify.clone(), queue),
            event_log,
            closing,
            courier: tokio::spawn(courier.run(messages)),
        }
    }

    /// Returns the sink for the event log of the process.
    pub fn sink(&self) -> Box<dyn EventSink> {
        Box::new(self.sink.clone())
    }

    /// Logs messages that cannot be delivered, once a cause.
    pub fn watch_log(&self, event_log: &EventLog) {
        let _ = self.event_log.set(event_log.clone());
    }

    /// Delivers the waiting messages within two seconds, and ends the task.
    pub async fn finish(mut self) {
        self.closing.cancel();
        let waited = tokio::time::timeout(LAST_WORDS, &mut self.courier).await;
        let joined = if let Ok(joined) = waited {
            joined
        } else {
            self.courier.abort();
            self.courier.await
        };
        if let Err(error) = joined
            && error.is_panic()
        {
            tracing::error!(%error, "the task that delivers messages panicked");
        }
    }
}
