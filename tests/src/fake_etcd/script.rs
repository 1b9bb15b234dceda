//! Script of a fake etcd: the differences of its answers from those of a working store. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd_client::proto::PbResponseHeader;

/// Kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads of keys.
    Range,
    /// Single writes.
    Put,
    /// Single deletions.
    DeleteRange,
    /// Transactions.
    Txn,
    /// New leases.
    Grant,
    /// Ends of leases.
    Revoke,
    /// Questions for the time that a lease has left.
    TimeToLive,
    /// Renewals; a stream of them can be open.
    Renew,
    /// Watches that are created; a stream of them can be open.
    Watch,
}

impl Method {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Range,
        Self::Put,
        Self::DeleteRange,
        Self::Txn,
        Self::Grant,
        Self::Revoke,
        Self::TimeToLive,
        Self::Renew,
        Self::Watch,
    ];

    /// The kind of request at this path, if scripts can change it.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/etcdserverpb.KV/Range" => Self::Range,
            "/etcdserverpb.KV/Put" => Self::Put,
            "/etcdserverpb.KV/DeleteRange" => Self::DeleteRange,
            "/etcdserverpb.KV/Txn" => Self::Txn,
            "/etcdserverpb.Lease/LeaseGrant" => Self::Grant,
            "/etcdserverpb.Lease/LeaseRevoke" => Self::Revoke,
            "/etcdserverpb.Lease/LeaseTimeToLive" => Self::TimeToLive,
            "/etcdserverpb.Lease/LeaseKeepAlive" => Self::Renew,
            "/etcdserverpb.Watch/Watch" => Self::Watch,
            _ => return None,
        })
    }
}

/// Text of a hostile server, meant to add a line to another program's log and to control a terminal.
pub(super) const HOSTILE_WORDS: &str = "no\n2026-01-01T00:00:00.000Z host-a forged RELEASED\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{2028}";

/// Ways not to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered `UNAVAILABLE`, and open streams end so.
    Unavailable,
    /// No answer comes. Requests are answered when the fault ends.
    Silent,
    /// The answer is a message that cannot be decoded; open streams end.
    Malformed,
    /// The answer announces a message of 1 GiB; open streams end.
    Oversized,
    /// Every request is refused in words that hold line ends and escape sequences; open
    /// streams end.
    Hostile,
}

/// Ways to answer wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quirk {
    /// Every watch is refused when it is created.
    RefuseWatches,
    /// Deletions reach no watch.
    SwallowDeletions,
    /// Requests for a watch's progress are not answered.
    IgnoreProgress,
    /// Transactions change nothing and return that their condition failed, without any further result.
    RefuseTransactions,
}

/// Differences from a store that works. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Script {
    faults: BTreeMap<Method, Fault>,
    terms: BTreeMap<Method, u64>,
    revisions: BTreeMap<Method, i64>,
    delays: BTreeMap<Method, Vec<Duration>>,
    quirks: BTreeSet<Quirk>,
    /// TTL in replies to new leases, in place of the one asked for.
    pub granted_ttl: Option<i64>,
    /// TTL in replies to renewals, in place of the lease's own.
    pub renewed_ttl: Option<i64>,
    /// Lease in replies to renewals, in place of the one renewed.
    pub renewed_lease: Option<i64>,
    /// Replies to each renewal beyond the one that it should have.
    pub surplus_renewals: usize,
}

impl Script {
    /// Answers requests of these kinds by a fault.
    pub fn fail(&mut self, methods: &[Method], fault: Fault) {
        self.faults
            .extend(methods.iter().map(|method| (*method, fault)));
    }

    /// Ends all faults and quirks.
    pub fn recover(&mut self) {
        self.faults.clear();
        self.quirks.clear();
    }

    /// Answers wrongly in this way too.
    pub fn quirk(&mut self, quirk: Quirk) {
        self.quirks.insert(quirk);
    }

    /// Puts this `raft_term` into replies of one kind.
    pub fn term(&mut self, method: Method, term: u64) {
        self.terms.insert(method, term);
    }

    /// Adds this to the revision in the headers of replies of one kind.
    pub fn shift_revision(&mut self, method: Method, by: i64) {
        self.revisions.insert(method, by);
    }

    /// Delays replies of one kind by each of these in turn, in order, counted from the request.
    pub fn delay(&mut self, method: Method, by: impl Into<Vec<Duration>>) {
        self.delays.insert(method, by.into());
    }

    pub(super) fn fault(&self, method: Method) -> Option<Fault> {
        self.faults.get(&method).copied()
    }

    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// The delay of the n-th reply of a kind.
    pub(super) fn delay_of(&self, method: Method, nth: u64) -> Duration {
        let delays = self.delays.get(&method).map_or(&[][..], Vec::as_slice);
        let at = usize::try_from(nth).unwrap_or(0) % delays.len().max(1);
        delays.get(at).copied().unwrap_or_default()
    }

    pub(super) fn edit_header(&self, method: Method, header: &mut Option<PbResponseHeader>) {
        let Some(header) = header else {
            return;
        };
        if let Some(term) = self.terms.get(&method) {
            header.raft_term = *term;
        }
        let by = self.revisions.get(&method).copied().unwrap_or(0);
        header.revision = header.revision.saturating_add(by).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_repeat_in_turn() {
        let mut script = Script::default();
        assert_eq!(script.delay_of(Method::Renew, 5), Duration::ZERO);
        let [one, two] = [1, 2].map(Duration::from_secs);
        script.delay(Method::Renew, [one, two]);
        assert_eq!(
            [0, 1, 2].map(|nth| script.delay_of(Method::Renew, nth)),
            [one, two, one]
        );
        assert_eq!(script.delay_of(Method::Range, 0), Duration::ZERO);
    }

    #[test]
    fn headers_change_for_one_kind_only() {
        let mut script = Script::default();
        script.term(Method::Renew, 2);
        script.shift_revision(Method::Renew, -100);
        let header = PbResponseHeader {
            revision: 7,
            raft_term: 3,
            ..PbResponseHeader::default()
        };
        for (method, expected) in [(Method::Renew, (1, 2)), (Method::Range, (7, 3))] {
            let mut edited = Some(header);
            script.edit_header(method, &mut edited);
            assert_eq!(edited.map(|h| (h.revision, h.raft_term)), Some(expected));
        }
    }
}
