//! Statuses that several services return.

use tonic::Status;

use crate::error::StoreError;

/// Status of a request that was still waiting when the store closed.
pub(super) fn stopped() -> Status {
    StoreError::Stopped.into()
}

/// Status of a request that this store never carries out, with the alternative.
pub(super) fn unsupported(what: &str, instead: &str) -> Status {
    StoreError::Unsupported(format!("leasehold: the embedded store {what}; {instead}")).into()
}
