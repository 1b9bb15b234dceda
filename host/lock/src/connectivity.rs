//! Connectivity: the reachability of the store, as all requests of this client show it.
//!
//! The store is *lost* when a request was sent and nothing has been answered for a bound, and *reachable* again with
//! the first answer. A refusal is an answer. While the client sends nothing else, a small read is sent at intervals,
//! and often while the store is lost, so that both are noticed on an idle host too.
//!
//! This is for display, and for work that waits for the store. It never decides about a lock: deadlines count
//! whatever is shown here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{BootTime, Clock};

/// Bound for requests that fail at once, as where no server listens: the election of a leader is not an outage.
const BROKEN_FOR: Duration = Duration::from_secs(2);

/// Reachability of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// Requests are answered.
    Reachable {
        /// The end of the last outage; the start of the client, if there was none.
        since: BootTime,
    },
    /// Requests are not answered.
    Lost {
        /// The sending of the first request without an answer.
        since: BootTime,
    },
}

/// Requests without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnansweredSpan {
    /// The sending of the first of them, or the last answer if that was earlier.
    since: BootTime,
    /// True if one of them failed, rather than having no reply yet.
    is_broken: bool,
}

/// Next step of the connectivity probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeVerdict {
    /// Answers come.
    Fine,
    /// Nothing was sent for long, or the last request has no answer yet: one more request decides.
    Probe,
    /// The bound has passed.
    Lost { since: BootTime },
}

/// Outcomes of the requests so far. Pure: the caller brings the time.
#[derive(Debug)]
struct RequestOutcomes {
    silence: Option<UnansweredSpan>,
    is_lost: bool,
    last_answer: BootTime,
    patience: Duration,
}

impl RequestOutcomes {
    fn request_sent(&mut self, now: BootTime) {
        self.silence.get_or_insert(UnansweredSpan {
            since: now,
            is_broken: false,
        });
    }

    fn request_answered(&mut self, now: BootTime) {
        self.silence = None;
        self.last_answer = now;
    }

    fn request_failed(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.is_broken = true;
        }
    }

    fn judge(&self, now: BootTime) -> ProbeVerdict {
        match self.silence {
            None if now.since(self.last_answer) < self.patience => ProbeVerdict::Fine,
            None => ProbeVerdict::Probe,
            Some(UnansweredSpan { since, is_broken }) => {
                let bound = if is_broken {
                    self.patience.min(BROKEN_FOR)
                } else {
                    self.patience
                };
                if now.since(since) >= bound {
                    ProbeVerdict::Lost { since }
                } else if is_broken || now.since(since) >= self.patience / 2 {
                    ProbeVerdict::Probe
                } else {
                    ProbeVerdict::Fine
                }
            }
        }
    }
}

/// Connectivity of one client. Requests report to it; readers follow [`ConnectivityMonitor::state`].
#[derive(Debug)]
pub(crate) struct ConnectivityMonitor {
    clock: Arc<dyn Clock>,
    outcomes: Mutex<RequestOutcomes>,
    state: watch::Sender<StoreState>,
}

impl ConnectivityMonitor {
    /// A monitor that reports the store as lost after `patience` without an answer.
    pub(crate) fn new(clock: Arc<dyn Clock>, patience: Duration) -> Arc<Self> {
        let now = clock.now();
        let outcomes = RequestOutcomes {
            silence: None,
            is_lost: false,
            last_answer: now,
            patience,
        };
        Arc::new(Self {
            clock,
            outcomes: Mutex::new(outcomes),
            state: watch::Sender::new(StoreState::Reachable { since: now }),
        })
    }

    /// The state, as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    /// A request is being sent.
    pub(crate) fn request_sent(&self) {
        let now = self.clock.now();
        self.with(|outcomes| outcomes.request_sent(now));
    }

    /// The store answered, or refused.
    pub(crate) fn request_answered(&self) {
        let now = self.clock.now();
        self.with(|outcomes| {
            outcomes.request_answered(now);
            if std::mem::take(&mut outcomes.is_lost) {
                self.state
                    .send_replace(StoreState::Reachable { since: now });
            }
        });
    }

    /// A request ended without an answer.
    pub(crate) fn request_failed(&self) {
        self.with(RequestOutcomes::request_failed);
    }

    // The state changes under the lock too, so that an answer is never overtaken by the loss it ends.
    fn with<T>(&self, work: impl FnOnce(&mut RequestOutcomes) -> T) -> T {
        work(&mut self.outcomes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Judges the unanswered requests. True if a probe should be sent.
    pub(crate) fn check(&self) -> bool {
        let now = self.clock.now();
        self.with(|outcomes| match outcomes.judge(now) {
            ProbeVerdict::Fine => false,
            ProbeVerdict::Probe => true,
            ProbeVerdict::Lost { since } => {
                if !std::mem::replace(&mut outcomes.is_lost, true) {
                    self.state.send_replace(StoreState::Lost { since });
                }
                true
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn observer() -> (Arc<ManualClock>, Arc<ConnectivityMonitor>) {
        let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
        let connectivity = ConnectivityMonitor::new(clock.clone(), PATIENCE);
        (clock, connectivity)
    }

    fn state(connectivity: &ConnectivityMonitor) -> StoreState {
        *connectivity.state().borrow()
    }

    #[test]
    fn silence_counts_from_the_first_unanswered_request() {
        let (clock, connectivity) = observer();
        let mut changes = connectivity.state();
        clock.advance(Duration::from_mins(1));
        let sent = clock.now();
        connectivity.request_sent();
        clock.advance(Duration::from_secs(4));
        connectivity.request_sent();
        assert!(
            connectivity.check(),
            "half the bound: one more request tells"
        );
        assert!(!changes.has_changed().unwrap());
        clock.advance(Duration::from_secs(1));
        connectivity.check();
        assert_eq!(
            *changes.borrow_and_update(),
            StoreState::Lost { since: sent }
        );
        connectivity.check();
        assert!(!changes.has_changed().unwrap(), "an outage is one change");
    }

    #[test]
    fn any_answer_ends_the_outage_and_is_one_change() {
        let (clock, connectivity) = observer();
        connectivity.request_sent();
        clock.advance(PATIENCE);
        connectivity.check();
        let mut changes = connectivity.state();
        clock.advance(Duration::from_secs(30));
        connectivity.request_answered();
        let since = clock.now();
        assert_eq!(
            *changes.borrow_and_update(),
            StoreState::Reachable { since }
        );
        clock.advance(Duration::from_secs(1));
        connectivity.request_answered();
        assert!(!changes.has_changed().unwrap());
        assert_eq!(state(&connectivity), StoreState::Reachable { since });
    }

    #[test]
    fn refused_connections_are_an_outage_sooner_than_silence() {
        let (clock, connectivity) = observer();
        connectivity.request_sent();
        connectivity.request_failed();
        clock.advance(Duration::from_secs(1));
        assert!(connectivity.check());
        assert!(matches!(state(&connectivity), StoreState::Reachable { .. }));
        clock.advance(BROKEN_FOR);
        assert!(connectivity.check());
        assert!(matches!(state(&connectivity), StoreState::Lost { .. }));
    }

    /// A request that its caller gave up is never answered.
    #[test]
    fn abandoned_request_is_not_an_outage_if_another_is_answered() {
        let (clock, connectivity) = observer();
        connectivity.request_sent();
        clock.advance(PATIENCE / 2);
        assert!(connectivity.check());
        connectivity.request_sent();
        connectivity.request_answered();
        clock.advance(PATIENCE / 2);
        assert!(!connectivity.check());
        assert!(matches!(state(&connectivity), StoreState::Reachable { .. }));
    }

    #[test]
    fn idle_client_sends_one_probe_per_bound() {
        let (clock, connectivity) = observer();
        clock.advance(Duration::from_secs(4));
        assert!(!connectivity.check());
        clock.advance(Duration::from_secs(1));
        assert!(connectivity.check());
        connectivity.request_sent();
        connectivity.request_answered();
        assert!(!connectivity.check());
    }
}
