//! Renewals under way on one session, and the proof that each reached the leader.
//!
//! Pure state: no I/O, no await, no clock.
//!
//! # Guarantees
//!
//! A renewal's reply proves nothing by itself: a deposed leader answers from memory, with the full TTL. A reply
//! counts when all of this holds, where T is the `raft_term` in its header:
//!
//! - The member that answered was known to be at T before the renewal was sent. It then forwarded the renewal to
//!   no leader of an older term.
//! - A linearizable read that was sent after the renewal came back at T: a quorum confirmed the leader of T
//!   after the renewal was sent.
//!
//! Either that leader then took the renewal in, or a newer one was elected after the renewal was sent. A new
//! leader gives every lease its full TTL. In both cases the lease lives for its TTL from the sending on.
//!
//! # Assumptions
//!
//! Replies on one stream come in the order of the renewals. A new leader gives a lease less than its TTL only
//! where checkpoints are on, which are made for leases above [`CHECKPOINT`]; for these the read must have been
//! sent after the reply.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::BootTime;

/// Leases above this may have been checkpointed by the store. etcd does it every 5 minutes.
pub(crate) const CHECKPOINT: Duration = Duration::from_mins(4);
/// Renewals without a reply before no more are sent.
pub(crate) const MOST_OUTSTANDING: usize = 32;
/// Limit of remembered members. A cluster has at most seven or so; a store that shows more is not trusted.
const MOST_MEMBERS: usize = 64;

/// A position in the order of sent requests and received replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventOrder(u64);

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentRequest {
    pub(crate) at: BootTime,
    order: EventOrder,
}

/// The member that answered and the term it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyOrigin {
    pub(crate) member: u64,
    pub(crate) term: u64,
}

/// Provability of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyStatus {
    /// It counts once a read confirms the leader of its term.
    Provable,
    /// The member's term was not known before the renewal was sent. The next renewal can be proven.
    NewTerm,
}

#[derive(Clone, Copy, Debug)]
struct RenewalAnswer {
    sent: BootTime,
    ttl: Duration,
    term: u64,
    /// A read proves it when it was sent after this.
    read_after: EventOrder,
}

/// The extension that a read has proven: a lease of `ttl`, counted from `sent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProvenRenewal {
    pub(crate) sent: BootTime,
    pub(crate) ttl: Duration,
}

/// All renewals of one session that are under way or not proven yet.
#[derive(Debug, Default)]
pub(crate) struct PendingRenewals {
    order: u64,
    outstanding: VecDeque<SentRequest>,
    /// The term of each member, and the event since which it is known.
    members: HashMap<u64, (u64, EventOrder)>,
    answers: Vec<RenewalAnswer>,
    /// The latest read that was sent.
    last_read_sent: Option<EventOrder>,
    /// The latest read that came back, by when it was sent.
    last_read: Option<EventOrder>,
}

impl PendingRenewals {
    const fn tick(&mut self) -> EventOrder {
        self.order += 1;
        EventOrder(self.order)
    }

    /// Notes that a new stream carries the renewals from here on; replies to earlier ones can no longer be matched.
    pub(crate) fn reopened(&mut self) {
        self.outstanding.clear();
    }

    /// Notes that a request is sent now.
    pub(crate) const fn sending(&mut self, at: BootTime) -> SentRequest {
        let order = self.tick();
        SentRequest { at, order }
    }

    /// Notes that a linearizable read is sent now.
    pub(crate) const fn reading(&mut self, at: BootTime) -> SentRequest {
        let sent = self.sending(at);
        self.last_read_sent = Some(sent.order);
        sent
    }

    /// True if a read is under way that will prove every answer, unless it fails.
    pub(crate) fn is_proof_under_way(&self) -> bool {
        self.last_read_sent > self.last_read
            && self
                .answers
                .iter()
                .all(|answer| Some(answer.read_after) < self.last_read_sent)
    }

    /// A read came back without an answer.
    pub(crate) fn read_failed(&mut self, sent: SentRequest) {
        if self.last_read_sent == Some(sent.order) {
            self.last_read_sent = self.last_read;
        }
    }

    /// Notes that a renewal is sent now on the stream.
    pub(crate) fn renewing(&mut self, at: BootTime) {
        let sent = self.sending(at);
        self.outstanding.push_back(sent);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.outstanding.len() >= MOST_OUTSTANDING
    }

    /// The oldest renewal without a reply.
    pub(crate) fn oldest(&self) -> Option<SentRequest> {
        self.outstanding.front().copied()
    }

    /// True if a read that was sent after `sent` has come back.
    pub(crate) fn was_read_after(&self, sent: SentRequest) -> bool {
        self.last_read.is_some_and(|read| read > sent.order)
    }

    /// Takes the oldest renewal off the stream: its reply has arrived. `None` for a reply without a renewal.
    pub(crate) fn replied(&mut self) -> Option<SentRequest> {
        self.outstanding.pop_front()
    }

    /// Takes in an answer that the lease lives for `ttl` from `sent` on.
    pub(crate) fn answered(
        &mut self,
        sent: SentRequest,
        ttl: Duration,
        origin: ReplyOrigin,
    ) -> ReplyStatus {
        let is_known = self
            .members
            .get(&origin.member)
            .is_some_and(|&(term, since)| term == origin.term && since < sent.order);
        self.note(origin);
        if !is_known {
            return ReplyStatus::NewTerm;
        }
        let read_after = if ttl > CHECKPOINT {
            self.tick()
        } else {
            sent.order
        };
        if self.answers.len() < MOST_OUTSTANDING {
            self.answers.push(RenewalAnswer {
                sent: sent.at,
                ttl,
                term: origin.term,
                read_after,
            });
        }
        ReplyStatus::Provable
    }

    /// Takes in a linearizable read that was sent at `sent`: the best extension that it proves.
    pub(crate) fn read(&mut self, sent: SentRequest, origin: ReplyOrigin) -> Option<ProvenRenewal> {
        self.note(origin);
        self.last_read = self.last_read.max(Some(sent.order));
        let end = |answer: &RenewalAnswer| answer.sent.after(answer.ttl);
        let proven = self
            .answers
            .iter()
            .filter(|answer| answer.term == origin.term && answer.read_after < sent.order)
            .max_by_key(|answer| end(answer))
            .copied();
        // A proven answer is done with, and an answer of another term will never be proven.
        self.answers
            .retain(|answer| answer.read_after >= sent.order);
        proven.map(|answer| ProvenRenewal {
            sent: answer.sent,
            ttl: answer.ttl,
        })
    }

    /// Remembers the term that a member has shown.
    fn note(&mut self, origin: ReplyOrigin) {
        let now = self.tick();
        if self.members.len() >= MOST_MEMBERS && !self.members.contains_key(&origin.member) {
            self.members.clear();
        }
        let known = self
            .members
            .entry(origin.member)
            .or_insert((origin.term, now));
        if known.0 != origin.term {
            *known = (origin.term, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    const fn from(member: u64, term: u64) -> ReplyOrigin {
        ReplyOrigin { member, term }
    }

    fn answered(renewals: &mut PendingRenewals, origin: ReplyOrigin) -> ReplyStatus {
        let sent = renewals.replied().unwrap();
        renewals.answered(sent, TTL, origin)
    }

    fn read(renewals: &mut PendingRenewals, origin: ReplyOrigin) -> Option<ProvenRenewal> {
        let sent = renewals.reading(at(0));
        renewals.read(sent, origin)
    }

    /// A session whose member 1 is known to be at term 2.
    fn known() -> PendingRenewals {
        let mut renewals = PendingRenewals::default();
        assert_eq!(read(&mut renewals, from(1, 2)), None);
        renewals
    }

    /// Promise P1. Fails when a reply extends by itself.
    #[test]
    fn a_reply_counts_only_when_a_later_read_shows_its_term() {
        let mut renewals = known();
        renewals.renewing(at(5));
        assert_eq!(answered(&mut renewals, from(1, 2)), ReplyStatus::Provable);
        let proven = read(&mut renewals, from(3, 2));
        let (sent, ttl) = (at(5), TTL);
        assert_eq!(proven, Some(ProvenRenewal { sent, ttl }));
        assert_eq!(read(&mut renewals, from(1, 2)), None, "it counts once");
    }

    /// Promise P1. A leader that was stopped answers from memory when it goes on.
    ///
    /// Fails on the mutant "a deadline moves without the leader's proof", see scripts/mutants.
    #[test]
    fn a_reply_of_a_deposed_leader_never_counts() {
        let mut renewals = known();
        renewals.renewing(at(5));
        assert_eq!(answered(&mut renewals, from(1, 2)), ReplyStatus::Provable);
        assert_eq!(read(&mut renewals, from(1, 3)), None);
        assert_eq!(read(&mut renewals, from(1, 2)), None);
    }

    /// Promise P1. A follower may have handed the renewal to a leader that was deposed meanwhile.
    #[test]
    fn reply_of_a_member_that_changed_its_term_never_counts() {
        let mut renewals = known();
        renewals.renewing(at(5));
        assert_eq!(answered(&mut renewals, from(1, 3)), ReplyStatus::NewTerm);
        assert_eq!(read(&mut renewals, from(1, 3)), None);
        renewals.renewing(at(6));
        assert_eq!(answered(&mut renewals, from(1, 3)), ReplyStatus::Provable);
        let (sent, ttl) = (at(6), TTL);
        assert_eq!(
            read(&mut renewals, from(1, 3)),
            Some(ProvenRenewal { sent, ttl })
        );
    }

    #[test]
    fn a_reply_of_a_member_seen_for_the_first_time_never_counts() {
        let mut renewals = known();
        renewals.renewing(at(5));
        assert_eq!(answered(&mut renewals, from(7, 2)), ReplyStatus::NewTerm);
        assert_eq!(read(&mut renewals, from(7, 2)), None);
    }

    /// Promise P1. Fails when a read that was under way before the renewal counts.
    #[test]
    fn a_read_sent_before_the_renewal_proves_nothing() {
        let mut renewals = known();
        let early = renewals.reading(at(4));
        renewals.renewing(at(5));
        answered(&mut renewals, from(1, 2));
        assert_eq!(renewals.read(early, from(1, 2)), None);
        assert!(read(&mut renewals, from(1, 2)).is_some());
    }

    #[test]
    fn replies_in_order_belong_to_the_renewals_in_order() {
        let mut renewals = known();
        for second in [5, 6, 7] {
            renewals.renewing(at(second));
        }
        answered(&mut renewals, from(1, 2));
        answered(&mut renewals, from(1, 2));
        let proven = read(&mut renewals, from(1, 2)).unwrap();
        assert_eq!(proven.sent, at(6), "the last reply that has arrived");
        assert_eq!(renewals.oldest().unwrap().at, at(7));
    }

    #[test]
    fn read_sent_with_a_renewal_proves_leases_without_checkpoints() {
        for (ttl, proves) in [(TTL, true), (CHECKPOINT * 2, false)] {
            let mut renewals = known();
            renewals.renewing(at(5));
            let beside = renewals.reading(at(5));
            assert!(renewals.is_proof_under_way());
            let sent = renewals.replied().unwrap();
            renewals.answered(sent, ttl, from(1, 2));
            assert_eq!(renewals.read(beside, from(1, 2)).is_some(), proves);
            assert_eq!(read(&mut renewals, from(1, 2)).is_some(), !proves);
        }
    }

    #[test]
    fn a_read_that_failed_is_not_waited_for() {
        let mut renewals = known();
        renewals.renewing(at(5));
        let beside = renewals.reading(at(5));
        answered(&mut renewals, from(1, 2));
        assert!(renewals.is_proof_under_way());
        renewals.read_failed(beside);
        assert!(!renewals.is_proof_under_way());
    }

    #[test]
    fn reply_without_a_renewal_is_noticed() {
        let mut renewals = known();
        renewals.renewing(at(5));
        assert!(renewals.replied().is_some());
        assert!(renewals.replied().is_none());
    }
}
