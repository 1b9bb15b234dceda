//! [`QueueRole`]: the role of an entry in the queue of a lock.
//!
//! This is the one place that derives the holders from the order of a queue.

/// Role of an entry in the queue of an exclusive lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueRole {
    /// The entry holds the lock.
    Holder,
    /// The entry waits behind this many others, holders included.
    Waiter(usize),
}

impl QueueRole {
    /// The role of an entry with `ahead` entries ahead of it.
    pub const fn behind(ahead: usize) -> Self {
        match ahead {
            0 => Self::Holder,
            ahead => Self::Waiter(ahead),
        }
    }

    /// The number of entries ahead: 0 for a holder.
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

/// The holders of a queue in create-revision order.
pub fn holders<T>(queue: &[T]) -> &[T] {
    queue.split_at(holder_count(queue)).0
}

/// The waiters of a queue in create-revision order, the next holder first.
pub fn waiters<T>(queue: &[T]) -> &[T] {
    queue.split_at(holder_count(queue)).1
}

/// The entries of a queue in create-revision order, each with its role.
pub fn with_roles<T>(queue: &[T]) -> impl Iterator<Item = (QueueRole, &T)> {
    queue
        .iter()
        .enumerate()
        .map(|(ahead, entry)| (QueueRole::behind(ahead), entry))
}

/// An exclusive lock has one holder, unless its queue is empty.
fn holder_count<T>(queue: &[T]) -> usize {
    queue.len().min(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_entry_holds_and_the_others_wait_in_order() {
        let queue = ["a", "b", "c"];
        assert_eq!(holders(&queue), ["a"]);
        assert_eq!(waiters(&queue), ["b", "c"]);
        let roles: Vec<_> = with_roles(&queue).map(|(role, _)| role).collect();
        let expected = [
            QueueRole::Holder,
            QueueRole::Waiter(1),
            QueueRole::Waiter(2),
        ];
        assert_eq!(roles, expected);
        assert!(holders::<u8>(&[]).is_empty() && waiters::<u8>(&[]).is_empty());
    }
}
