//! Leases: their deadlines, and the keys attached to them.
//!
//! This file must never end a lease by itself: due leases are returned, and ended by a write like any other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold_lock::clock::BootTime;

use crate::change::SharedKey;

/// The shortest TTL; shorter requests are granted this one. etcd derives it from its election timeout, whose default
/// gives this value.
pub(super) const SHORTEST_TTL: i64 = 2;
/// The longest TTL; longer requests are refused.
pub(super) const LONGEST_TTL: i64 = 9_000_000_000;

/// A lease and its keys.
#[derive(Debug)]
pub(super) struct LeaseEntry {
    /// In seconds.
    pub(super) ttl: i64,
    /// Renewed through a shared reference: a renewal is not a write.
    deadline: AtomicU64,
    /// Its keys in order: they are deleted in this order.
    pub(super) keys: BTreeSet<SharedKey>,
}

impl LeaseEntry {
    fn new(ttl: i64, now: BootTime) -> Self {
        let lease = Self {
            ttl,
            deadline: AtomicU64::new(0),
            keys: BTreeSet::new(),
        };
        lease.renew(now);
        lease
    }

    pub(super) fn deadline(&self) -> BootTime {
        BootTime::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    fn renew(&self, now: BootTime) {
        let whole = Duration::from_secs(u64::try_from(self.ttl).unwrap_or(0));
        self.deadline
            .store(now.after(whole).as_nanos(), Ordering::Release);
    }
}

/// All leases.
#[derive(Debug, Default)]
pub(super) struct LeaseTable(HashMap<i64, LeaseEntry>);

impl LeaseTable {
    /// Returns the leases of an image, each with its full TTL ahead of it.
    pub(super) fn restarted(image: &BTreeMap<i64, i64>, now: BootTime) -> Self {
        let lease = |(id, ttl): (&i64, &i64)| (*id, LeaseEntry::new(*ttl, now));
        Self(image.iter().map(lease).collect())
    }

    pub(super) fn get(&self, id: i64) -> Option<&LeaseEntry> {
        self.0.get(&id)
    }

    /// Returns each lease's id and its TTL in seconds.
    pub(super) fn ttls(&self) -> impl ExactSizeIterator<Item = (i64, i64)> + '_ {
        self.0.iter().map(|(id, lease)| (*id, lease.ttl))
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        self.0.contains_key(&id)
    }

    pub(super) fn grant(&mut self, id: i64, ttl: i64, now: BootTime) {
        self.0.insert(id, LeaseEntry::new(ttl, now));
    }

    pub(super) fn end(&mut self, id: i64) -> Option<LeaseEntry> {
        self.0.remove(&id)
    }

    /// Renews a lease for its whole TTL from now, unless it has run out: then it only waits to be ended.
    pub(super) fn renew(&self, id: i64, now: BootTime) -> Option<i64> {
        let lease = self.0.get(&id).filter(|lease| lease.deadline() > now)?;
        lease.renew(now);
        Some(lease.ttl)
    }

    pub(super) fn attach(&mut self, id: i64, key: &SharedKey) {
        if let Some(lease) = self.0.get_mut(&id) {
            lease.keys.insert(SharedKey::clone(key));
        }
    }

    pub(super) fn detach(&mut self, id: i64, key: &[u8]) {
        if let Some(lease) = self.0.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    /// Returns their ids, earliest deadline first.
    pub(super) fn by_deadline(&self) -> Vec<i64> {
        let mut leases: Vec<_> = self.0.iter().map(|(id, l)| (l.deadline(), *id)).collect();
        leases.sort_unstable();
        leases.into_iter().map(|(_, id)| id).collect()
    }

    /// Returns the leases that have run out, and the deadline of the next one.
    pub(super) fn due(&self, now: BootTime) -> (Vec<i64>, Option<BootTime>) {
        let (mut due, mut next) = (Vec::new(), None::<BootTime>);
        for (id, lease) in &self.0 {
            let deadline = lease.deadline();
            if deadline <= now {
                due.push(*id);
            } else {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            }
        }
        due.sort_unstable();
        (due, next)
    }
}
