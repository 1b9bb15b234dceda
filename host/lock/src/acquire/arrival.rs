//! Following waiting claims until all of them hold.

use futures_util::future::select_all;
use leasehold_ids::Revision;

use crate::acquire::request::LockPlace;
use crate::claims::ClaimStatus;
use crate::local_queue::QueueClaim;
use crate::lock_entry::LockEntry;

/// End of a wait. `at` is the index of the claim that ended it.
#[derive(Debug)]
pub(super) enum WaitEnd {
    /// Every entry holds.
    Held,
    /// An entry of ours was deleted.
    Deleted { at: usize, revision: Revision },
    /// An entry ahead has permits of another capacity.
    OtherCapacity { at: usize, entry: String, of: u32 },
}

/// Follows the status of the claims, one for each of `entries`.
///
/// A claim that holds goes on to hold while its entry exists, so the claims need not come to hold at one moment.
pub(super) async fn await_all(
    claims: &mut [QueueClaim],
    entries: &[LockEntry],
    report: &mut impl FnMut(LockPlace),
) -> WaitEnd {
    loop {
        let mut holds_all = true;
        let mut place = None;
        for (at, (claim, entry)) in claims.iter_mut().zip(entries).enumerate() {
            let status = claim.status().borrow_and_update().clone();
            holds_all &= status == ClaimStatus::Holder;
            match status {
                ClaimStatus::Holder | ClaimStatus::Unknown => {}
                ClaimStatus::Deleted { revision } => return WaitEnd::Deleted { at, revision },
                ClaimStatus::OtherCapacity { entry, of } => {
                    return WaitEnd::OtherCapacity { at, entry, of };
                }
                ClaimStatus::Behind { ahead, holder } => {
                    place.get_or_insert_with(|| LockPlace {
                        name: entry.name().to_owned(),
                        ahead,
                        holder: (!holder.is_empty()).then_some(holder),
                    });
                }
            }
        }
        if holds_all {
            return WaitEnd::Held;
        }
        if let Some(place) = place {
            report(place);
        }
        if let [claim] = &mut *claims {
            next_status(claim).await;
        } else {
            let next = claims.iter_mut().map(|claim| Box::pin(next_status(claim)));
            select_all(next).await;
        }
    }
}

/// Resolves when the status of the claim has changed.
async fn next_status(claim: &mut QueueClaim) {
    if claim.status().changed().await.is_err() {
        // The local queue dropped the claim, which only happens when the client closes.
        std::future::pending::<()>().await;
    }
}
