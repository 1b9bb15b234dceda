//! Who blocks whom, across locks: a waiter may itself hold what others wait for.
//!
//! An actor is what [`EntryOwner`] names: a job of ours on a host, or another client's lease. The world keeps it as
//! holders come and go: of many locks it would take longer than a frame to make it anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{EntryOwner, StoreState};

/// Locks that are followed from one; more than that nobody reads.
const FOLLOWED: usize = 10_000;

/// Who holds what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldLocks {
    /// Each list in order.
    holds: HashMap<EntryOwner, Vec<Arc<str>>>,
}

/// What a lock's holder stands in the way of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockedLocks {
    /// Waiters, of this lock and of those that its waiters hold.
    pub(crate) waiters: usize,
    /// Locks, this one included.
    pub(crate) locks: usize,
    /// Locks of which each is held by somebody who waits for the next, and the last for the first: none of
    /// them will ever be free.
    pub(crate) cycle: Vec<Arc<str>>,
}

impl HeldLocks {
    /// The lock has passed from one holder to another; or there was none, or there is none.
    pub(super) fn passes(
        &mut self,
        lock: &Arc<str>,
        from: Option<&EntryOwner>,
        to: Option<&EntryOwner>,
    ) {
        if from == to {
            return;
        }
        if let Some(who) = from
            && let Some(held) = self.holds.get_mut(who)
        {
            held.retain(|name| name != lock);
            if held.is_empty() {
                self.holds.remove(who);
            }
        }
        if let Some(who) = to {
            let held = self.holds.entry(who.clone()).or_default();
            if let Err(at) = held.binary_search(lock) {
                held.insert(at, lock.clone());
            }
        }
    }

    /// The full names of the locks that `who` holds.
    pub(crate) fn holds(&self, who: &EntryOwner) -> &[Arc<str>] {
        self.holds.get(who).map_or(&[], Vec::as_slice)
    }

    /// What the holder of `lock` stands in the way of.
    pub(crate) fn blocked(&self, world: &StoreState, lock: &str) -> BlockedLocks {
        let mut found = BlockedLocks::default();
        let Some(first) = world.locks.get(lock) else {
            return found;
        };
        let mut seen: HashSet<&str> = HashSet::from([&*first.name]);
        // Each with who came before it, to tell a cycle.
        let mut trail: Vec<(&Arc<str>, Option<usize>)> = vec![(&first.name, None)];
        let mut at = 0;
        while let Some(&(name, _)) = trail.get(at) {
            let waiters = world.locks.get(name).map_or(&[][..], |lock| lock.waiters());
            found.locks += 1;
            found.waiters += waiters.len();
            for held in waiters.iter().flat_map(|waiter| self.holds(&waiter.who)) {
                if found.cycle.is_empty() && leads_to(&trail, at, held) {
                    found.cycle = path(&trail, at, held);
                }
                if trail.len() < FOLLOWED && seen.insert(held) {
                    trail.push((held, Some(at)));
                }
            }
            at += 1;
        }
        found
    }
}

/// Whether `name` is on the way from the first lock to the one at `at`.
fn leads_to(trail: &[(&Arc<str>, Option<usize>)], at: usize, name: &Arc<str>) -> bool {
    let mut here = Some(at);
    while let Some((lock, before)) = here.and_then(|at| trail.get(at)) {
        if *lock == name {
            return true;
        }
        here = *before;
    }
    false
}

/// The way from `name` to the lock at `at`.
fn path(trail: &[(&Arc<str>, Option<usize>)], at: usize, name: &Arc<str>) -> Vec<Arc<str>> {
    let (mut way, mut here) = (Vec::new(), Some(at));
    while let Some((lock, before)) = here.and_then(|at| trail.get(at)) {
        way.push(Arc::clone(lock));
        if *lock == name {
            break;
        }
        here = *before;
    }
    way.reverse();
    way
}
