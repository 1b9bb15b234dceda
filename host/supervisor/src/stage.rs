//! Stages of a host's life, for the service manager that started it, and signs of life of the supervisor's loop.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Stage that a host enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStage {
    /// The store is to be reached.
    Connecting,
    /// The store was reached, the plugins are loaded, and every job has been started. Entered again after a reload.
    Ready,
    /// The configuration is read again on request.
    Reloading,
    /// Guests are asked to stop, and locks are given back. No other stage follows.
    Stopping,
}

/// Receiver of the stages. It never waits.
pub trait StageSink: Send + Sync {
    /// Takes the stage that the host has entered.
    fn enter(&self, stage: HostStage);

    /// Returns the interval of signs of life, if any are wanted.
    fn beat_interval(&self) -> Option<Duration> {
        None
    }

    /// Takes a sign of life of the supervisor's loop.
    fn beat(&self) {}
}

/// Sink of a host that no service manager has started.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStages;

impl StageSink for NoStages {
    fn enter(&self, _stage: HostStage) {}
}

/// Moments at which the supervisor's loop gives a sign of life.
pub(crate) struct Heartbeat {
    sink: Arc<dyn StageSink>,
    moments: Option<Interval>,
}

impl Heartbeat {
    pub(crate) fn new(sink: Arc<dyn StageSink>) -> Self {
        let moments = sink.beat_interval().map(|every| {
            let mut moments = interval(every);
            moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
            moments
        });
        Self { sink, moments }
    }

    /// Waits for the next moment; for ever if no sign of life is wanted.
    pub(crate) async fn next(&mut self) {
        match &mut self.moments {
            Some(moments) => {
                moments.tick().await;
            }
            None => pending().await,
        }
    }

    /// Gives the sign of life.
    pub(crate) fn beat(&self) {
        self.sink.beat();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::poll;
    use tokio::time::Instant;

    use super::*;

    /// Interval between beats.
    const EVERY: Duration = Duration::from_millis(20);

    /// Counts beats.
    #[derive(Default)]
    struct Counter(AtomicU64);

    impl StageSink for Counter {
        fn enter(&self, _stage: HostStage) {}

        fn beat_interval(&self) -> Option<Duration> {
            Some(EVERY)
        }

        fn beat(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn beats_come_at_the_interval_that_the_sink_wants() {
        let counter = Arc::new(Counter::default());
        let mut heart = Heartbeat::new(counter.clone());
        let began = Instant::now();
        for _ in 0..4 {
            heart.next().await;
            heart.beat();
        }
        assert_eq!(counter.0.load(Ordering::Relaxed), 4);
        // The first one comes at once.
        assert!(began.elapsed() >= EVERY * 3);
    }

    #[tokio::test]
    async fn no_beat_comes_if_none_is_wanted() {
        let mut heart = Heartbeat::new(Arc::new(NoStages));
        assert!(poll!(pin!(heart.next())).is_pending());
    }
}
