//! Wait graph across locks: a waiter may itself hold locks with waiters.

use std::collections::HashSet;
use std::sync::Arc;

use super::queue_entry::QueueEntry;
use super::store_state::StoreState;

/// Most locks followed from one: a longer list is not read.
const FOLLOWED: usize = 10_000;

/// Clients and locks that a lock's holder blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockedLocks {
    /// Number of waiters, of this lock and of the locks that its waiters hold.
    pub(crate) waiters: usize,
    /// Number of locks, this one included.
    pub(crate) locks: usize,
    /// Locks in a cycle: the holder of each waits for the next, and the holder of the last for the first. None of
    /// them will ever be free.
    pub(crate) cycle: Vec<Arc<str>>,
}

/// Full names of the locks that a waiter holds and that its wait keeps from others. A lock that its job holds by an
/// entry of an earlier session is not among them: that entry ends with its lease, whatever the waiter does.
pub(crate) fn locks_kept_by<'s>(
    state: &'s StoreState,
    waiter: &QueueEntry,
) -> impl Iterator<Item = &'s Arc<str>> {
    let held = state.held_locks.holds(&waiter.who).iter();
    held.filter(|name| {
        let holder = state.locks.get(&***name).and_then(|lock| lock.holder());
        !holder.is_some_and(|holder| holder.is_of_another_session(waiter))
    })
}

/// Computes the clients and locks that the holder of `lock` blocks.
pub(crate) fn blocked_by(state: &StoreState, lock: &str) -> BlockedLocks {
    let mut found = BlockedLocks::default();
    let Some(first) = state.locks.get(lock) else {
        return found;
    };
    let mut seen: HashSet<&str> = HashSet::from([&*first.name]);
    // Each with its predecessor, to detect a cycle.
    let mut trail: Vec<(&Arc<str>, Option<usize>)> = vec![(&first.name, None)];
    let mut at = 0;
    while let Some(&(name, _)) = trail.get(at) {
        let waiters = state.locks.get(name).map_or(&[][..], |lock| lock.waiters());
        found.locks += 1;
        found.waiters += waiters.len();
        for held in waiters
            .iter()
            .flat_map(|waiter| locks_kept_by(state, waiter))
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

/// Returns true if `name` is on the path from the first lock to the one at `at`.
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

/// Path from `name` to the lock at `at`.
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
