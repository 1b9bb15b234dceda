//! Following a waiting claim until it is first.

use crate::acquire::request::LockPlace;
use crate::claims::ClaimStatus;

use crate::local_queue::QueueClaim;
use leasehold_ids::Revision;

/// Follows the status of the claim. `Ok` when it is first, `Err` with the revision at which our entry was deleted.
pub(super) async fn first(
    claim: &mut QueueClaim,
    report: &mut impl FnMut(LockPlace),
) -> Result<(), Revision> {
    loop {
        let status = claim.status().borrow_and_update().clone();
        match status {
            ClaimStatus::First => return Ok(()),
            ClaimStatus::Deleted { revision } => return Err(revision),
            ClaimStatus::Behind { ahead, holder } => report(LockPlace {
                ahead,
                holder: (!holder.is_empty()).then_some(holder),
            }),
            ClaimStatus::Unknown => {}
        }
        if claim.status().changed().await.is_err() {
            // The local queue dropped the claim, which only happens when the client closes.
            std::future::pending::<()>().await;
        }
    }
}
