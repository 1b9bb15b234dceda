//! The condition of the next enqueue request, and what it reads along. Pure.

use crate::acquire::request::LockWait;
use crate::enqueue::{EnqueueCondition, Enqueued, FOLLOW_ALL, TailRead};
use crate::local_queue::Contention;
use crate::lock_entry::LockEntry;
use leasehold_ids::LockMode;

/// Requests that may be overtaken by newcomers before one of them stands in the queue for a moment, without waiting.
const MOST_OVERTAKEN: u32 = 8;

/// The condition of the next enqueue request, and what it reads along.
#[derive(Debug)]
pub(super) struct EnqueuePlan {
    pub(super) condition: EnqueueCondition,
    pub(super) tails: Option<Vec<TailRead>>,
    if_not_free: EnqueueCondition,
    overtaken: u32,
}

impl EnqueuePlan {
    /// The first request for these entries, where this contention is expected.
    pub(super) fn first(entries: &[LockEntry], expected: &[Contention], wait: LockWait) -> Self {
        let if_not_free = match wait {
            LockWait::Never => EnqueueCondition::OnlyIfFree,
            LockWait::Forever | LockWait::AtMost(_) => EnqueueCondition::Always,
        };
        let plan = |condition, tails| Self {
            condition,
            tails,
            if_not_free,
            overtaken: 0,
        };
        if expected
            .iter()
            .all(|contention| *contention == Contention::Free)
        {
            return plan(EnqueueCondition::OnlyIfFree, None);
        }
        let tails = entries.iter().zip(expected).map(|(entry, contention)| {
            let youngest = match contention {
                Contention::Free | Contention::Short => FOLLOW_ALL + 1,
                Contention::Long => 2,
            };
            TailRead::of_mode(entry.mode(), youngest)
        });
        plan(if_not_free, Some(tails.collect()))
    }

    /// Changes the plan after a request that made nothing. False if another one would not do better.
    pub(super) fn revise(&mut self, entries: &[LockEntry], found: &Enqueued) -> bool {
        if self.tails.is_none() {
            // Another entry exists, or ours do, from a request whose reply was lost.
            let tails = entries
                .iter()
                .map(|entry| TailRead::of_mode(entry.mode(), FOLLOW_ALL + 1));
            self.tails = Some(tails.collect());
            self.condition = self.if_not_free;
            return true;
        }
        if self.condition == EnqueueCondition::Always {
            return false;
        }
        let mut known = entries.iter().zip(&found.queues);
        if let [entry] = entries
            && entry.mode() == LockMode::Exclusive
        {
            // Only keys of deeper locks exist there; they are not entries of this one.
            self.condition = EnqueueCondition::Always;
            return known.all(|(_, queue)| queue.entries.is_empty());
        }
        self.overtaken += 1;
        self.condition = if self.overtaken > MOST_OVERTAKEN {
            EnqueueCondition::Always
        } else {
            EnqueueCondition::NoneSince(found.as_of)
        };
        known.all(|(entry, queue)| queue.has_room(entry.mode()))
    }
}
