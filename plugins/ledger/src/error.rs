//! Errors of the ledger: a store that failed and a ledger that is wrong are kept apart.

use leasehold_job::GuardError;

/// Error of opening a ledger or completing a transfer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BookError {
    /// The store failed; the next run reads how far this one came.
    #[error("{doing}")]
    Store {
        doing: &'static str,
        #[source]
        source: GuardError,
    },
    /// The keys contradict each other; only a person may change them now.
    #[error("the ledger does not add up: {0}")]
    Corrupt(String),
}

/// Adds the step that was under way when the store failed.
pub(crate) fn while_(doing: &'static str) -> impl FnOnce(GuardError) -> BookError {
    move |source| BookError::Store { doing, source }
}
