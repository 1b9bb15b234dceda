//! Times of leases. The store reports no renewals, so between two replies the time is counted down here, and marked
//! as an estimate.

use std::collections::{HashMap, VecDeque};

use leasehold_lock::LeaseId;
use leasehold_records::UnixMs;

/// A reply older than this is an estimate, in milliseconds.
const FRESH: u64 = 1_500;
/// Replies kept for each lease, for earlier moments.
const KEPT: usize = 120;
/// In milliseconds.
const SECOND: u64 = 1_000;
/// Leases that are kept; beyond it those with the oldest replies are dropped.
const MOST: usize = 20_000;

/// Time that a lease has left, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTtl {
    pub(crate) left_ms: u64,
    pub(crate) granted_ms: u64,
    /// Counted down here since the last reply.
    pub(crate) is_estimate: bool,
    /// Time left in the last reply.
    pub(crate) last_left_ms: u64,
}

impl LeaseTtl {
    /// Returns true if a renewal was overdue at the last reply: one is due when a third of the time is over. Replies
    /// are in whole seconds, so up to one second more may be left. A time that is only counted down proves nothing:
    /// the lease may have been renewed since.
    pub(crate) const fn is_running_out(&self) -> bool {
        (self.last_left_ms + SECOND) * 2 < self.granted_ms
    }

    /// Returns true if a new reply is needed.
    pub(crate) const fn is_due(&self) -> bool {
        self.left_ms * 2 < self.granted_ms
    }
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    at: UnixMs,
    left_ms: u64,
    granted_ms: u64,
}

/// The last replies about each lease, oldest first.
#[derive(Debug, Default)]
pub(crate) struct LeaseTable {
    answers: HashMap<LeaseId, VecDeque<Answer>>,
}

impl LeaseTable {
    /// Records a reply: seconds left and granted; `None` if the lease does not exist.
    pub(super) fn record_answer(&mut self, lease: LeaseId, at: UnixMs, answer: Option<(u64, u64)>) {
        if self.answers.len() >= MOST {
            let newest = |answers: &VecDeque<Answer>| {
                answers.back().map_or(UnixMs::default(), |last| last.at)
            };
            let mut times: Vec<UnixMs> = self.answers.values().map(newest).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or_default();
            self.answers.retain(|_, answers| newest(answers) > middle);
        }
        let (left, granted) = answer.unwrap_or((0, 0));
        let answers = self.answers.entry(lease).or_default();
        if answers.len() == KEPT {
            answers.pop_front();
        }
        answers.push_back(Answer {
            at,
            left_ms: left * SECOND,
            granted_ms: granted * SECOND,
        });
    }

    /// The last reply about `lease` before `now`; later replies were not known then. `None` for a lease that does not
    /// exist.
    fn known(&self, lease: LeaseId, now: UnixMs) -> Option<&Answer> {
        let answers = self.answers.get(&lease)?;
        let last = answers.iter().rev().find(|answer| answer.at <= now)?;
        (last.granted_ms > 0).then_some(last)
    }

    /// Time that `lease` has left at `now`.
    pub(crate) fn ttl(&self, lease: LeaseId, now: UnixMs) -> Option<LeaseTtl> {
        let answer = self.known(lease, now)?;
        let ago = now.millis_since(answer.at);
        Some(LeaseTtl {
            left_ms: answer.left_ms.saturating_sub(ago),
            granted_ms: answer.granted_ms,
            is_estimate: ago > FRESH,
            last_left_ms: answer.left_ms,
        })
    }

    /// Returns true if `lease` had run out at `now`, as far as replies show: renewals were missing, and the time was
    /// over, give or take the second that replies round off.
    pub(crate) fn has_run_out(&self, lease: LeaseId, now: UnixMs) -> bool {
        self.known(lease, now).is_some_and(|answer| {
            let ago = now.millis_since(answer.at);
            answer.left_ms * 3 < answer.granted_ms && answer.left_ms <= ago + SECOND
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_between_replies_is_counted_down_as_an_estimate() {
        let mut leases = LeaseTable::default();
        leases.record_answer(LeaseId::new(7), UnixMs::new(1_000), Some((9, 10)));
        let ttl = |now| {
            leases
                .ttl(LeaseId::new(7), UnixMs::new(now))
                .map(|ttl| (ttl.left_ms, ttl.is_estimate))
        };
        assert_eq!(ttl(1_000), Some((9_000, false)));
        assert_eq!(ttl(5_000), Some((5_000, true)));
        assert_eq!(ttl(60_000), Some((0, true)));
        assert_eq!(leases.ttl(LeaseId::new(8), UnixMs::new(1_000)), None);
        assert_eq!(ttl(500), None, "not known yet");
    }

    #[test]
    fn lease_with_an_overdue_renewal_is_running_out() {
        let mut leases = LeaseTable::default();
        let mut runs_out = |left, granted, ago| {
            leases.record_answer(LeaseId::new(7), UnixMs::new(0), Some((left, granted)));
            let ttl = leases.ttl(LeaseId::new(7), UnixMs::new(ago)).unwrap();
            (ttl.is_running_out(), ttl.is_due())
        };
        assert_eq!(runs_out(9, 10, 0), (false, false));
        assert_eq!(runs_out(9, 10, 6_000), (false, true), "ask first");
        assert_eq!(runs_out(3, 10, 0), (true, true));
        assert_eq!(runs_out(1, 3, 0), (false, true), "almost two of three");
        assert_eq!(runs_out(0, 3, 0), (true, true));
    }

    #[test]
    fn short_lease_renewed_in_time_has_not_run_out() {
        let mut leases = LeaseTable::default();
        // Of three seconds, renewed every second; requested just before a renewal, and deleted a second later.
        leases.record_answer(LeaseId::new(7), UnixMs::new(0), Some((1, 3)));
        assert!(!leases.has_run_out(LeaseId::new(7), UnixMs::new(1_500)));
        leases.record_answer(LeaseId::new(7), UnixMs::new(0), Some((0, 3)));
        assert!(leases.has_run_out(LeaseId::new(7), UnixMs::new(300)));
        leases.record_answer(LeaseId::new(7), UnixMs::new(0), Some((1, 10)));
        assert!(leases.has_run_out(LeaseId::new(7), UnixMs::new(800)));
        leases.record_answer(LeaseId::new(7), UnixMs::new(0), Some((3, 10)));
        assert!(
            !leases.has_run_out(LeaseId::new(7), UnixMs::new(500)),
            "late, but given back"
        );
        assert!(!leases.has_run_out(LeaseId::new(8), UnixMs::new(0)));
    }

    #[test]
    fn lease_table_is_bounded() {
        let mut leases = LeaseTable::default();
        for lease in 0..50_000 {
            leases.record_answer(
                LeaseId::new(lease),
                UnixMs::new(lease.unsigned_abs()),
                Some((9, 10)),
            );
        }
        assert!(leases.answers.len() <= MOST);
        assert!(
            leases
                .ttl(LeaseId::new(49_999), UnixMs::new(50_000))
                .is_some()
        );
    }
}
