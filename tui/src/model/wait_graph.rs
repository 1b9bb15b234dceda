//! Waiters across locks: a waiter may itself hold what others wait for.

use std::collections::HashSet;
use std::sync::Arc;

use super::store_state::StoreState;

/// Locks that are followed from one; more than that nobody reads.
const FOLLOWED: usize = 10_000;

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

/// What the holder of `lock` stands in the way of.
pub(crate) fn blocked_by(state: &StoreState, lock: &str) -> BlockedLocks {
    let mut found = BlockedLocks::default();
    let Some(first) = state.locks.get(lock) else {
        return found;
    };
    let mut seen: HashSet<&str> = HashSet::from([&*first.name]);
    // Each with who came before it, to tell a cycle.
    let mut trail: Vec<(&Arc<str>, Option<usize>)> = vec![(&first.name, None)];
    let mut at = 0;
    while let Some(&(name, _)) = trail.get(at) {
        let waiters = state.locks.get(name).map_or(&[][..], |lock| lock.waiters());
        found.locks += 1;
        found.waiters += waiters.len();
        for held in waiters
            .iter()
            .flat_map(|waiter| state.held_locks.holds(&waiter.who))
        {
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
