//! etcd's watches: one stream of responses for many watches.
//!
//! A stream has no task and no queue. It advances when its connection (or, in this process, its client) polls for
//! the next response. So what a client does not read is not read from the history either, nor are its requests. This
//! file must never block writers, nor answer a client that does not poll.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbWatchRequest, PbWatchResponse, PbWatchService};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use self::stream_watches::StreamWatches;
use super::faults::catch_panics;
use crate::budget;
use crate::core::StoreCore;
use crate::watch::{WatchHistory, WatchRegistry};

mod catch_up;
mod event_batch;
mod stream_watches;
#[cfg(test)]
mod tests;

/// Interval of progress responses to a watch without events that requested them: etcd's default. Up to a tenth is
/// added, so that streams opened together do not all send at once.
const PROGRESS_INTERVAL: Duration = Duration::from_mins(10);

/// The most requests that are applied before watches advance.
const REQUESTS_IN_A_ROW: u32 = 64;

/// The watch service.
pub(crate) struct WatchService {
    history: Arc<dyn WatchHistory>,
    registry: Arc<WatchRegistry>,
    cancel: CancellationToken,
    progress: Duration,
}

impl WatchService {
    /// Serves watches until cancelled, or until the store closes.
    pub(crate) fn new(core: Arc<StoreCore>, cancel: CancellationToken) -> Self {
        let registry = Arc::clone(core.watchers());
        Self::over(core, registry, cancel, PROGRESS_INTERVAL)
    }

    fn over(
        history: Arc<dyn WatchHistory>,
        registry: Arc<WatchRegistry>,
        cancel: CancellationToken,
        progress: Duration,
    ) -> Self {
        Self {
            history,
            registry,
            cancel,
            progress,
        }
    }

    fn stream<R>(&self, requests: R) -> impl Stream<Item = Result<PbWatchResponse, Status>> + use<R>
    where
        R: Stream<Item = Result<PbWatchRequest, Status>> + Unpin,
    {
        let jitter = self.progress.mul_f64(fastrand::f64() / 10.0);
        let mut ticks = interval_at(
            Instant::now() + self.progress + jitter,
            self.progress + jitter,
        );
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let session = StreamSession {
            watches: StreamWatches::new(
                Arc::clone(&self.history),
                Arc::clone(&self.registry),
                budget::current_ticket(),
            ),
            announced: self.registry.announced(),
            registry: Arc::clone(&self.registry),
            cancel: self.cancel.clone(),
            requests: Some(requests),
            in_a_row: 0,
            ticks,
        };
        stream::unfold(Some(session), |session| async {
            let mut session = session?;
            match session.next().await {
                Ok(response) => Some((Ok(response), Some(session))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }
}

#[tonic::async_trait]
impl PbWatchService for WatchService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<PbWatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let responses = self.stream(request.into_inner());
        Ok(Response::new(Box::pin(catch_panics(responses))))
    }
}

/// One stream: its watches, and the client's requests.
struct StreamSession<R> {
    watches: StreamWatches,
    registry: Arc<WatchRegistry>,
    announced: watch::Receiver<i64>,
    cancel: CancellationToken,
    /// `None` once the client has ended its requests: as in etcd, it may continue to read responses.
    requests: Option<R>,
    /// Number of requests applied since watches last advanced.
    in_a_row: u32,
    ticks: Interval,
}

/// The next step of a stream.
enum StreamStep {
    Stop,
    Apply(Option<Result<PbWatchRequest, Status>>),
    Advance,
    Tick,
}

impl<R: Stream<Item = Result<PbWatchRequest, Status>> + Unpin> StreamSession<R> {
    /// Returns the next response, or the status that ends the stream.
    async fn next(&mut self) -> Result<PbWatchResponse, Status> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(super::status::stopped());
            }
            if let Some(ticket) = &self.watches.ticket {
                ticket.check_may_answer()?;
            }
            if let Some(response) = self.watches.pop() {
                return Ok(response);
            }
            let next = self.wait().await;
            let requests = match &next {
                StreamStep::Apply(_) => self.in_a_row + 1,
                _ => 0,
            };
            match next {
                StreamStep::Stop => return Err(super::status::stopped()),
                StreamStep::Apply(Some(request)) => self.watches.apply(request?),
                StreamStep::Apply(None) => self.requests = None,
                StreamStep::Tick => self.watches.tick(),
                StreamStep::Advance => {}
            }
            // Watches that are created together then read the history together. A client that sends requests without
            // a pause still gets its events.
            self.in_a_row = requests % REQUESTS_IN_A_ROW;
            if self.in_a_row != 0 {
                continue;
            }
            self.watches.note_touched();
            if self.watches.has_work() {
                self.watches.advance();
                // Much history can pass before there is a response.
                tokio::task::coop::consume_budget().await;
            }
        }
    }

    /// Waits for something to do. Requests come first: each has one answer, and the client waits for it.
    async fn wait(&mut self) -> StreamStep {
        let has_work = self.watches.has_work();
        let wants_progress = self.watches.wants_progress();
        let awaited = self.watches.awaited_revision().filter(|_| !has_work);
        let asks = self.requests.is_some();
        let request = async {
            match &mut self.requests {
                Some(requests) => requests.next().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => StreamStep::Stop,
            () = self.registry.closed() => StreamStep::Stop,
            request = request, if asks => StreamStep::Apply(request),
            () = self.watches.touched() => StreamStep::Advance,
            _ = self.announced.wait_for(|announced| awaited.is_some_and(|awaited| *announced >= awaited)),
                if awaited.is_some() => StreamStep::Advance,
            _ = self.ticks.tick(), if wants_progress => StreamStep::Tick,
            () = std::future::ready(()), if has_work => StreamStep::Advance,
        }
    }
}
