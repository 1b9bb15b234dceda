//! Admin actions that the operator has confirmed, and their records.

use std::time::Duration;

use leasehold_lock::{AuditNote, Locks, StoreError};
use leasehold_records::{AdminAction, AdminActionRecord, Root};

use crate::app::AdminOrder;

/// Time for which the record of an action is kept.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// Carries out the action, and returns a sentence about the result.
pub(super) async fn execute(
    locks: &Locks,
    root: &Root,
    operator: &str,
    order: AdminOrder,
) -> Result<String, String> {
    let at = super::clock::now();
    let record = AdminActionRecord {
        action: order.deed,
        by: operator.to_owned(),
        lock: order.lock.clone(),
        key: order.key.clone(),
        token: order.create_revision.into(),
        lease: order.lease.to_string(),
        whom: order.whom.clone(),
        at_unix_ms: at,
        job: None,
        host: None,
        why: String::new(),
    };
    let trace = AuditNote {
        key: root.admin_action(at, fastrand::u32(..)),
        value: record.to_json(),
        keep: KEEP,
    };
    let done = match order.deed {
        AdminAction::RevokeLease => locks.revoke_lease(order.lease, &trace).await,
        AdminAction::RemoveEntry | AdminAction::StopRun => {
            locks
                .remove_entry(&order.key, order.create_revision, &trace)
                .await
        }
        AdminAction::Trigger
        | AdminAction::Pause
        | AdminAction::Resume
        | AdminAction::Drain
        | AdminAction::Undrain
        | AdminAction::Stop
        | AdminAction::Restart => {
            return Err(format!(
                "`leasehold {}` does this; no entry was removed",
                order.deed.as_str()
            ));
        }
    };
    let what = order.deed.as_str();
    match done {
        Ok(true) => Ok(format!("{what} of {} is done", order.whom)),
        Ok(false) => Err(format!(
            "{what}: {} was deleted already; nothing was done",
            order.whom
        )),
        Err(error @ StoreError::Refused { .. }) => Err(format!("{what} was not done: {error}")),
        Err(error) => Err(format!("{what} may or may not have been done: {error}")),
    }
}
