//! What is known of leases. The store tells nobody when a lease is renewed, so what is shown between two
//! answers is counted down here, and called an estimate.

use std::collections::HashMap;

/// An answer older than this is an estimate, in milliseconds.
const FRESH: u64 = 1_500;
/// In milliseconds.
const SECOND: u64 = 1_000;
/// Leases that are remembered; beyond it the ones not asked about for longest are forgotten.
const MOST: usize = 20_000;

/// How long a lease has left, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ttl {
    pub(crate) left: u64,
    pub(crate) granted: u64,
    /// Counted down here, rather than just told.
    pub(crate) is_estimate: bool,
}

impl Ttl {
    /// Whether a renewal that should have come has not: one is due when a third of the time is over. The store
    /// tells whole seconds, so there may be almost one more than it says.
    pub(crate) const fn is_running_out(&self) -> bool {
        (self.left + SECOND) * 2 < self.granted
    }
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    at: u64,
    left: u64,
    granted: u64,
}

/// The last answer about each lease.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    answers: HashMap<i64, Answer>,
}

impl Leases {
    /// Takes an answer: seconds left and granted; `None` when there is no such lease.
    pub(super) fn take(&mut self, lease: i64, at: u64, answer: Option<(u64, u64)>) {
        if self.answers.len() >= MOST {
            let mut times: Vec<u64> = self.answers.values().map(|answer| answer.at).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or(0);
            self.answers.retain(|_, answer| answer.at > middle);
        }
        match answer {
            Some((left, granted)) => {
                let (left, granted) = (left * SECOND, granted * SECOND);
                self.answers.insert(lease, Answer { at, left, granted });
            }
            None => {
                self.answers.remove(&lease);
            }
        }
    }

    /// How long `lease` has left at `now`.
    pub(crate) fn ttl(&self, lease: i64, now: u64) -> Option<Ttl> {
        let answer = self.answers.get(&lease)?;
        let ago = now.saturating_sub(answer.at);
        Some(Ttl {
            left: answer.left.saturating_sub(ago),
            granted: answer.granted,
            is_estimate: ago > FRESH,
        })
    }

    /// When `lease` was last asked about.
    pub(crate) fn asked(&self, lease: i64) -> Option<u64> {
        self.answers.get(&lease).map(|answer| answer.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_answers_a_lease_is_counted_down_and_called_an_estimate() {
        let mut leases = Leases::default();
        leases.take(7, 1_000, Some((9, 10)));
        let ttl = |now| leases.ttl(7, now).map(|ttl| (ttl.left, ttl.is_estimate));
        assert_eq!(ttl(1_000), Some((9_000, false)));
        assert_eq!(ttl(5_000), Some((5_000, true)));
        assert_eq!(ttl(60_000), Some((0, true)));
        assert_eq!(leases.ttl(8, 1_000), None);
    }

    #[test]
    fn a_lease_runs_out_when_half_of_it_is_gone_since_a_third_is_when_it_is_renewed() {
        let mut leases = Leases::default();
        leases.take(7, 0, Some((10, 10)));
        let runs_out = |now| leases.ttl(7, now).is_some_and(|ttl| ttl.is_running_out());
        assert!(!runs_out(5_900));
        assert!(runs_out(6_100));
        leases.take(7, 0, Some((1, 3)));
        assert!(!runs_out(0), "of three seconds, one is left or almost two");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut leases = Leases::default();
        for lease in 0..50_000 {
            leases.take(lease, u64::try_from(lease).unwrap(), Some((9, 10)));
        }
        assert!(leases.answers.len() <= MOST);
        assert!(leases.ttl(49_999, 50_000).is_some());
    }
}
