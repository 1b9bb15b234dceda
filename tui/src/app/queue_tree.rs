//! Wait tree of a lock: its queue, and below each waiter the queues of the locks that it holds.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{QueueEntry, QueueRole, StoreState, locks_kept_by};

/// Most lines of a tree; lines beyond it are left out.
const MOST: usize = 5_000;

/// One line of the tree.
#[derive(Clone, Debug)]
pub(crate) struct QueueBranch {
    /// Indentation: 0 for the lock in the view.
    pub(crate) depth: usize,
    /// Full name of the lock of this queue.
    pub(crate) lock: Arc<str>,
    pub(crate) role: QueueRole,
    pub(crate) entry: Arc<QueueEntry>,
}

/// Builds the tree of `lock`.
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
    // Each lock once: a cycle would have no end.
    if !seen.insert(lock.name.clone()) {
        return;
    }
    for (role, entry) in lock.queue.roles() {
        if out.len() >= MOST {
            return;
        }
        let held = locks_kept_by(state, entry);
        out.push(QueueBranch {
            depth,
            lock: lock.name.clone(),
            role,
            entry: entry.clone(),
        });
        // The holder's other locks do not block the waiters of this one.
        if !role.is_holder() {
            for held in held.filter(|held| **held != lock.name) {
                grow(state, held, depth + 1, seen, out);
            }
        }
    }
}
