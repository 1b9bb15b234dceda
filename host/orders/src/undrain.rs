//! The end of a drain.

use leasehold_lock::Batch;
use leasehold_records::{AdminAction, HoldKind, JobRecord};

use crate::desk::{OrderDesk, now};
use crate::drain::known_drain;
use crate::error::OrderError;
use crate::report::OrderReport;
use crate::seen::SeenOrder;

/// Ends the drain of a host, and waits until it has seen that.
///
/// # Errors
///
/// The order was not written, or may not have been.
pub async fn undrain(desk: &OrderDesk, host: &str) -> Result<OrderReport, OrderError> {
    let key = desk.root().host_control(host);
    let (found, revision) = desk.read(&key).await?;
    if known_drain(found.as_ref(), now()).is_none() {
        return Ok(OrderReport::new(format!("{host} is not drained")));
    }
    let mut batch = Batch::default();
    batch.delete(&key);
    let mut action = desk.action(AdminAction::Undrain);
    action.host = Some(host.to_owned());
    if !desk.commit((&key, revision), batch, &action).await? {
        return Err(OrderError::overtaken(&format!("the drain of {host}")));
    }
    let is_here = |job: &JobRecord| job.host == host;
    let is_free = |job: &JobRecord| !job.holds.iter().any(|hold| hold.kind == HoldKind::Drained);
    let seen = SeenOrder::wait(desk, None, is_here, is_free).await?;
    let is_alive = desk.read(&desk.root().host(host)).await;
    let (is_alive, _) = is_alive.map_err(OrderError::after_writing)?;
    let then = if is_alive.is_some() {
        "it starts runs again"
    } else {
        "it does not run now: start it"
    };
    Ok(seen.report(format!("{host} is undrained; {then}")))
}
