//! [`EndReason`]: the reason for the end of a tenure or a session.

use std::fmt;

use leasehold_ids::Revision;

/// Reason for the end of a tenure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The holder gave the lock back.
    Released,
    /// No renewal was confirmed before the deadline.
    DeadlinePassed,
    /// The server answered that the lease no longer exists: it expired or was revoked.
    LeaseEnded,
    /// Our entry was deleted from the queue by another client or an operator.
    Removed {
        /// The revision of the deletion.
        revision: Revision,
    },
    /// Our key was deleted, and created again by another client or an operator.
    Replaced {
        /// The create revision of the entry that now exists under our key.
        revision: Revision,
    },
    /// The store refused our fencing token: our entry no longer exists.
    TokenStale,
    /// No reading of the store succeeded for so long that ownership is no longer known.
    Unverified,
    /// The store is not the one the lock was acquired on (its cluster changed or its revision fell).
    StoreChanged {
        /// The observation.
        detail: String,
    },
}

impl EndReason {
    /// The words of [`EndReason::as_str`] for losses: all but that of a release.
    pub const LOSSES: [&'static str; 7] = [
        "deadline-passed",
        "lease-ended",
        "removed",
        "replaced",
        "token-stale",
        "unverified",
        "store-changed",
    ];

    /// Returns a short stable word, for events and labels of metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::DeadlinePassed => "deadline-passed",
            Self::LeaseEnded => "lease-ended",
            Self::Removed { .. } => "removed",
            Self::Replaced { .. } => "replaced",
            Self::TokenStale => "token-stale",
            Self::Unverified => "unverified",
            Self::StoreChanged { .. } => "store-changed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("released"),
            Self::DeadlinePassed => f.write_str("the lease was not renewed before its deadline"),
            Self::LeaseEnded => f.write_str("the lease expired or was revoked on the server"),
            Self::Removed { revision } => {
                write!(f, "the lock entry was removed at revision {revision}")
            }
            Self::Replaced { revision } => write!(
                f,
                "the lock entry was replaced by another at revision {revision}"
            ),
            Self::TokenStale => f.write_str("the store no longer accepts our fencing token"),
            Self::Unverified => f.write_str("ownership could not be verified in time"),
            Self::StoreChanged { detail } => write!(f, "the store changed: {detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_has_a_word_of_its_own() {
        let reasons = [
            EndReason::DeadlinePassed,
            EndReason::LeaseEnded,
            EndReason::Removed {
                revision: Revision::new(1),
            },
            EndReason::Replaced {
                revision: Revision::new(1),
            },
            EndReason::TokenStale,
            EndReason::Unverified,
            EndReason::StoreChanged {
                detail: String::new(),
            },
        ];
        assert_eq!(reasons.map(|reason| reason.as_str()), EndReason::LOSSES);
    }
}
