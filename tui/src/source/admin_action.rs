//! Admin actions on entries and leases that the operator has confirmed, and their records.

use std::time::Duration;

use leasehold_lock::{AuditNote, Locks, RefusalKind, StoreError};
use leasehold_records::{AdminActionRecord, Root};

use crate::app::{EntryAction, EntryOrder};

/// Time for which the record of an action is kept.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// Carries out the action, and returns a sentence about the result.
pub(super) async fn execute(
    locks: &Locks,
    root: &Root,
    operator: &str,
    order: EntryOrder,
) -> Result<String, String> {
    let at = super::clock::now();
    let record = AdminActionRecord {
        action: order.deed.recorded(),
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
        EntryAction::RevokeLease => locks.revoke_lease(order.lease, &trace).await,
        EntryAction::RemoveEntry | EntryAction::StopRun => {
            locks
                .remove_entry(&order.key, order.create_revision, &trace)
                .await
        }
    };
    let what = order.deed.as_str();
    match done {
        Ok(true) => Ok(format!("{what} of {} is done", order.whom)),
        Ok(false) => Err(format!(
            "{what}: {} was deleted already; nothing was done",
            order.whom
        )),
        Err(StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        }) => Err(format!(
            "{what} was not done: the store refused it, its user may not write it; grant it readwrite on {} and {}",
            prefix_of(&order.key),
            root.admin_actions()
        )),
        Err(error @ StoreError::Refused { .. }) => Err(format!("{what} was not done: {error}")),
        Err(error) => Err(format!("{what} may or may not have been done: {error}")),
    }
}

/// Prefix of the entries of a lock, from the key of one.
fn prefix_of(key: &str) -> &str {
    key.rfind('/').map_or(key, |end| &key[..=end])
}
