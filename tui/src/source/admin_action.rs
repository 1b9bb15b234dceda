//! Doing to others what an operator has confirmed, and leaving word of it.

use std::time::Duration;

use leasehold_lock::{AuditNote, Locks, StoreError};
use leasehold_records::{Deed, DeedRecord, Root};

use crate::app::AdminOrder;

/// How long word of a deed stays in the store.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// Does it, and says what came of it.
pub(super) async fn execute(
    locks: &Locks,
    root: &Root,
    operator: &str,
    order: AdminOrder,
) -> Result<String, String> {
    let at = super::clock::now();
    let record = DeedRecord {
        deed: order.deed,
        by: operator.to_owned(),
        lock: order.lock.clone(),
        key: order.key.clone(),
        token: u64::try_from(order.token).unwrap_or(0),
        lease: format!("{:x}", order.lease),
        whom: order.whom.clone(),
        at_unix_ms: at,
    };
    let trace = AuditNote {
        key: root.deed(at, fastrand::u32(..)),
        value: record.to_json(),
        keep: KEEP,
    };
    let done = match order.deed {
        Deed::RevokeLease => locks.revoke_lease(order.lease, &trace).await,
        Deed::RemoveEntry | Deed::StopRun => {
            locks.remove_entry(&order.key, order.token, &trace).await
        }
    };
    let what = order.deed.as_str();
    match done {
        Ok(true) => Ok(format!("{what} of {} is done", order.whom)),
        Ok(false) => Err(format!(
            "{what}: {} was gone already; nothing was done",
            order.whom
        )),
        Err(error @ StoreError::Refused { .. }) => Err(format!("{what} was not done: {error}")),
        Err(error) => Err(format!("{what} may or may not have been done: {error}")),
    }
}
