//! [`QueueRole`]: the role of an entry in the queue of a lock.
//!
//! This is the one place that derives the holders from the order of a queue.
//!
//! # The rule
//!
//! An entry holds when it fits beside *all* entries ahead of it, holders or not:
//!
//! - an exclusive entry fits only where none is ahead;
//! - a shared entry fits beside shared ones;
//! - an entry with permits fits beside permits of the same capacity, as long as their sum is within it.
//!
//! Two consequences follow. Holders are the first entries of the queue: behind an entry that does not fit, no other
//! does, so nothing overtakes. An entry that fits goes on to fit: entries ahead of it are only deleted, never added.
//! A reading at one revision therefore proves it for later ones too, for as long as the entry itself exists.

use std::sync::Arc;

use leasehold_ids::LockMode;

/// Role of an entry in the queue of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueRole {
    /// The entry holds the lock, alone or beside others.
    Holder,
    /// The entry waits behind this many others, holders included.
    Waiter(usize),
}

impl QueueRole {
    /// The number of entries ahead of a waiter; 0 for a holder.
    pub const fn place(self) -> usize {
        match self {
            Self::Holder => 0,
            Self::Waiter(ahead) => ahead,
        }
    }

    /// True for a holder.
    pub const fn is_holder(self) -> bool {
        matches!(self, Self::Holder)
    }
}

/// An entry of a queue, by what the rule needs of it.
pub trait QueuedEntry {
    /// The way it takes part in the lock.
    fn mode(&self) -> LockMode;
}

impl<T: QueuedEntry> QueuedEntry for Arc<T> {
    fn mode(&self) -> LockMode {
        self.as_ref().mode()
    }
}

/// The holders of a queue in create-revision order.
pub fn holders<T: QueuedEntry>(queue: &[T]) -> &[T] {
    queue.split_at(holder_count(queue)).0
}

/// The waiters of a queue in create-revision order, the next holder first.
pub fn waiters<T: QueuedEntry>(queue: &[T]) -> &[T] {
    queue.split_at(holder_count(queue)).1
}

/// The entries of a queue in create-revision order, each with its role.
pub fn with_roles<T: QueuedEntry>(queue: &[T]) -> impl Iterator<Item = (QueueRole, &T)> {
    let holders = holder_count(queue);
    queue.iter().enumerate().map(move |(ahead, entry)| {
        let role = if ahead < holders {
            QueueRole::Holder
        } else {
            QueueRole::Waiter(ahead)
        };
        (role, entry)
    })
}

/// True if an entry of `mode` behind all of `ahead`, in create-revision order, holds the lock.
pub fn fits_behind<T: QueuedEntry>(ahead: &[T], mode: LockMode) -> bool {
    load_of(ahead).admits(mode)
}

/// The first entry whose permits are of another capacity than those of `mode`. Neither can count the other's, so a
/// client that meets one gives up.
pub fn other_capacity<T: QueuedEntry>(queue: &[T], mode: LockMode) -> Option<(&T, u32)> {
    let capacity = mode.capacity()?;
    queue.iter().find_map(|entry| {
        let other = entry.mode().capacity()?;
        (other != capacity).then_some((entry, other))
    })
}

/// The share of a lock that its holders take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockLoad {
    Free,
    Shared,
    Permits { taken: u32, of: u32 },
    Full,
}

impl LockLoad {
    /// True if an entry of `mode` fits beside what is taken.
    fn admits(self, mode: LockMode) -> bool {
        self.with(mode).is_some()
    }

    /// The load with one more entry; `None` if it does not fit.
    fn with(self, mode: LockMode) -> Option<Self> {
        match (self, mode) {
            (Self::Free, LockMode::Exclusive) => Some(Self::Full),
            (Self::Free | Self::Shared, LockMode::Shared) => Some(Self::Shared),
            (Self::Free, LockMode::Permits(own)) => Some(Self::Permits {
                taken: own.weight(),
                of: own.of(),
            }),
            (Self::Permits { taken, of }, LockMode::Permits(own)) if of == own.of() => {
                let taken = taken
                    .checked_add(own.weight())
                    .filter(|taken| *taken <= of)?;
                Some(Self::Permits { taken, of })
            }
            _ => None,
        }
    }
}

/// The load of entries that all hold; full where one of them does not.
fn load_of<T: QueuedEntry>(queue: &[T]) -> LockLoad {
    let load = queue
        .iter()
        .try_fold(LockLoad::Free, |load, entry| load.with(entry.mode()));
    load.unwrap_or(LockLoad::Full)
}

/// The number of holders. They are the first entries of the queue.
fn holder_count<T: QueuedEntry>(queue: &[T]) -> usize {
    let mut load = LockLoad::Free;
    let fitting = queue.iter().take_while(|entry| {
        let next = load.with(entry.mode());
        load = next.unwrap_or(LockLoad::Full);
        next.is_some()
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl QueuedEntry for LockMode {
        fn mode(&self) -> LockMode {
            *self
        }
    }

    const X: LockMode = LockMode::Exclusive;
    const R: LockMode = LockMode::Shared;

    fn p(weight: u32, of: u32) -> LockMode {
        LockMode::permits(weight, of).unwrap()
    }

    /// The holders of a queue, by three ways that must agree.
    fn held(queue: &[LockMode]) -> usize {
        let count = holders(queue).len();
        assert_eq!(waiters(queue).len(), queue.len() - count);
        for (at, (role, _)) in with_roles(queue).enumerate() {
            assert_eq!(role.is_holder(), at < count, "{queue:?}");
            assert_eq!(
                fits_behind(&queue[..at], queue[at]),
                at < count,
                "{queue:?}"
            );
            assert_eq!(role.place(), if at < count { 0 } else { at });
        }
        count
    }

    #[test]
    fn first_of_exclusive_entries_holds_and_the_others_wait() {
        assert_eq!(held(&[]), 0);
        assert_eq!(held(&[X]), 1);
        assert_eq!(held(&[X, X, X]), 1);
    }

    /// Fails on the mutant "shared weighs nothing", see scripts/mutants.
    #[test]
    fn readers_hold_together_and_never_beside_a_writer() {
        assert_eq!(held(&[R, R, R]), 3);
        assert_eq!(held(&[R, R, X, R]), 2, "the last reader does not overtake");
        assert_eq!(held(&[R, X]), 1);
        assert_eq!(held(&[X, R, R]), 1);
        assert_eq!(held(&[R, p(1, 3)]), 1);
        assert_eq!(held(&[p(1, 3), R]), 1);
    }

    #[test]
    fn permits_hold_up_to_their_capacity_and_in_order() {
        assert_eq!(held(&[p(1, 4), p(2, 4), p(1, 4), p(1, 4), p(3, 4)]), 3);
        assert_eq!(
            held(&[p(3, 4), p(2, 4), p(1, 4)]),
            1,
            "the lighter one waits"
        );
        assert_eq!(held(&[p(4, 4), p(1, 4)]), 1);
        assert_eq!(held(&[p(1, 4), X, p(1, 4)]), 1);
        let most = u32::MAX;
        assert_eq!(held(&[p(most, most), p(most, most)]), 1);
    }

    #[test]
    fn entries_of_another_capacity_wait_and_are_named() {
        let queue = [p(1, 3), p(1, 5), p(1, 3)];
        assert_eq!(held(&queue), 1);
        assert_eq!(other_capacity(&queue, p(2, 3)), Some((&queue[1], 5)));
        assert_eq!(other_capacity(&queue[..1], p(2, 3)), None);
        assert_eq!(other_capacity(&queue, R), None);
    }

    /// The rule's second consequence, over every queue of four modes: deleting entries ahead keeps a holder.
    #[test]
    fn holder_stays_one_when_an_entry_ahead_is_deleted() {
        let modes = [X, R, p(1, 3), p(2, 3), p(1, 4)];
        let queues = (0..modes.len().pow(4)).map(|number| {
            let digit = |place: u32| modes[number / modes.len().pow(place) % modes.len()];
            [digit(0), digit(1), digit(2), digit(3)]
        });
        for queue in queues {
            let count = held(&queue);
            for gone in 0..queue.len() {
                let mut left = queue.to_vec();
                left.remove(gone);
                let kept = count - usize::from(gone < count);
                assert!(held(&left) >= kept, "{queue:?} without {gone}");
            }
        }
    }
}
