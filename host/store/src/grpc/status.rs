//! Statuses that several services return.

use tonic::Status;

use crate::error::StoreError;

/// What a request hears that was still waiting when the store closed.
pub(super) fn stopped() -> Status {
    StoreError::Stopped.into()
}

/// What this store will never do, and who does.
pub(super) fn unsupported(what: &str, instead: &str) -> Status {
    StoreError::Unsupported(format!("leasehold: the embedded store {what}; {instead}")).into()
}
