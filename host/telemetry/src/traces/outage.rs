//! [`CollectorState`]: whether the collector takes traces, and what is logged about that. Pure.

use std::time::Duration;

use leasehold_lock::BootTime;

/// Length of an outage that is logged.
const CONFIRMED: Duration = Duration::from_secs(1);

/// State of the collector, as the last requests found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CollectorState {
    /// It takes traces, as far as is known.
    Reached,
    /// The last requests failed.
    Failing {
        since: BootTime,
        /// Number of spans dropped before.
        dropped_before: u64,
        is_logged: bool,
    },
}

/// The end of an outage that was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutageEnd {
    pub(super) lasted: Duration,
    pub(super) dropped: u64,
}

impl CollectorState {
    /// Notes a request that failed. Returns the length of the outage if it is to be logged now: once, at the first failure
    /// that no later request mends, or when it has lasted for a second.
    pub(super) fn fail(&mut self, now: BootTime, dropped: u64, is_final: bool) -> Option<Duration> {
        if *self == Self::Reached {
            *self = Self::Failing {
                since: now,
                dropped_before: dropped,
                is_logged: false,
            };
        }
        let Self::Failing {
            since, is_logged, ..
        } = self
        else {
            return None;
        };
        let lasted = now.since(*since);
        let is_due = !*is_logged && (is_final || lasted >= CONFIRMED);
        *is_logged |= is_due;
        is_due.then_some(lasted)
    }

    /// Notes a request that was taken. Returns the end of an outage that was logged.
    pub(super) fn reach(&mut self, now: BootTime, dropped: u64) -> Option<OutageEnd> {
        match std::mem::replace(self, Self::Reached) {
            Self::Failing {
                since,
                dropped_before,
                is_logged: true,
            } => Some(OutageEnd {
                lasted: now.since(since),
                dropped: dropped.saturating_sub(dropped_before),
            }),
            Self::Failing { .. } | Self::Reached => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn outage_and_its_end_are_logged_once() {
        let mut state = CollectorState::Reached;
        assert_eq!(state.fail(at(10), 3, false), None);
        assert_eq!(state.fail(at(12), 3, false), Some(Duration::from_secs(2)));
        assert_eq!(state.fail(at(20), 5, true), None);
        let end = state.reach(at(40), 8).expect("the end");
        assert_eq!((end.lasted, end.dropped), (Duration::from_secs(30), 5));
        assert_eq!(state.reach(at(41), 8), None);
        assert!(state.fail(at(50), 8, true).is_some());
    }

    #[test]
    fn failure_that_the_next_request_mends_is_not_logged() {
        let mut state = CollectorState::Reached;
        assert_eq!(state.fail(at(10), 0, false), None);
        assert_eq!(state.reach(at(11), 0), None);
    }
}
