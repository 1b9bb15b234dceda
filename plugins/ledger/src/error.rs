//! Why the ledger could not go on.
//!
//! It must never make one of the two: a store that failed, a ledger that is wrong.

use leasehold_job::GuardError;

/// Why a ledger could not be opened or a transfer not be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BookError {
    /// The store failed; the next run finds out how far this one came.
    #[error("{doing}")]
    Store {
        doing: &'static str,
        #[source]
        source: GuardError,
    },
    /// The keys contradict each other; nothing but a person may touch them now.
    #[error("the ledger does not add up: {0}")]
    Corrupt(String),
}

/// Says what was being done when the store failed.
pub(crate) fn while_(doing: &'static str) -> impl FnOnce(GuardError) -> BookError {
    move |source| BookError::Store { doing, source }
}
