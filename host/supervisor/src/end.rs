//! How a host ends: done, or refused before its jobs began.

use crate::connect::StoreSetupError;

/// End of a host whose jobs were started. Ordered: a host with several jobs ends with the worst of their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostEnd {
    /// Every job ended well, or the host was stopped on request.
    Done,
    /// A `once` job failed.
    JobFailed,
    /// A `once` job did not get its lock in the time it was given.
    NotAcquired,
    /// A second request cut the shutdown short.
    Aborted,
}

/// Error that ends a host before its jobs, or in the middle of them. Its text may have several lines.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The store refused this host or cannot be used.
    #[error(transparent)]
    Connect(#[from] StoreSetupError),
    /// The store refused the claim on the host's id.
    #[error("cannot take the host id {name} at {key}: {error}")]
    ClaimRefused {
        /// The id.
        name: String,
        /// Key of the claim.
        key: String,
        /// Answer of the store.
        error: leasehold_lock::StoreError,
    },
    /// Another host has the id.
    #[error("{0}")]
    IdHeld(String),
    /// An internal error.
    #[error("{0}")]
    Internal(String),
}

impl HostError {
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_end_counts() {
        assert_eq!(HostEnd::Done.max(HostEnd::JobFailed), HostEnd::JobFailed);
        assert_eq!(
            HostEnd::NotAcquired.max(HostEnd::Done),
            HostEnd::NotAcquired
        );
    }
}
