//! Ending leases that have run out.
//!
//! A lease is never ended early: it is found due here, and checked again by the writer. It ends late only by the
//! writer's queue, where etcd checks every half second.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::mvcc::{WriteCommand, WriteReply};
use crate::shared_state::SharedState;
use crate::writer::StoreWriter;

/// Longest time between two checks: a clock that is not the runtime's may jump.
const LONGEST_NAP: Duration = Duration::from_millis(500);
/// Shortest wait after a failed attempt, or for a lease that is due in no time.
const SHORTEST_NAP: Duration = Duration::from_millis(1);

/// Leases ended in one write: other writes get their turn in between, however many leases were granted at once.
const MAX_PER_WRITE: usize = 1000;

/// Ends expired leases until cancelled.
pub(crate) async fn end_expired_leases(
    shared: Arc<SharedState>,
    writer: Arc<StoreWriter>,
    cancel: CancellationToken,
) {
    loop {
        let now = shared.now();
        let (mut due, next) = shared.state().leases_due(now);
        let mut nap = next
            .map_or(LONGEST_NAP, |next| next.since(now))
            .clamp(SHORTEST_NAP, LONGEST_NAP);
        if due.len() > MAX_PER_WRITE {
            due.truncate(MAX_PER_WRITE);
            nap = SHORTEST_NAP;
        }
        if !due.is_empty() {
            match writer.write(&shared, WriteCommand::Expire(due), None).await {
                Ok(WriteReply::Expire(count)) => tracing::debug!(count, "leases have run out"),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "leases have run out and cannot be ended yet");
                    nap = LONGEST_NAP;
                }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(nap) => {}
        }
    }
}
