//! The wait tree of one lock: its queue, and below each waiter what that waiter holds and who waits for it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{QueueEntry, StoreState};

/// Lines that a tree may have; a longer one ends with what was left out.
const MOST: usize = 5_000;

/// One line of the tree.
#[derive(Clone, Debug)]
pub(crate) struct QueueBranch {
    /// How far in it stands: 0 for the lock that is looked at.
    pub(crate) depth: usize,
    /// The lock whose queue it is in, by its full name.
    pub(crate) lock: Arc<str>,
    /// Its place there: 0 holds.
    pub(crate) place: usize,
    pub(crate) entry: Arc<QueueEntry>,
}

/// The tree of `lock`.
pub(crate) fn build_queue_tree(state: &StoreState, lock: &str) -> Vec<QueueBranch> {
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    grow(state, lock, 0, &mut seen, &mut out);
    out
}

fn grow(
    state: &StoreState,
    name: &str,
    depth: usize,
    seen: &mut HashSet<Arc<str>>,
    out: &mut Vec<QueueBranch>,
) {
    let Some(lock) = state.locks.get(name) else {
        return;
    };
    // Once each: a cycle would have no end.
    if !seen.insert(lock.name.clone()) {
        return;
    }
    for (place, entry) in lock.queue.iter().enumerate() {
        if out.len() >= MOST {
            return;
        }
        let held = state.held_locks.holds(&entry.who);
        out.push(QueueBranch {
            depth,
            lock: lock.name.clone(),
            place,
            entry: entry.clone(),
        });
        // The holder's other locks are no concern of those who wait here.
        if place > 0 {
            for held in held.iter().filter(|held| **held != lock.name) {
                grow(state, held, depth + 1, seen, out);
            }
        }
    }
}
