//! The fate of a run without a recorded end, under a lock that other runs may hold beside it.

use leasehold_lock::{Kv, StoreError, Token};
use leasehold_records::RunRecord;

use super::outbox::RunMark;

/// The fate of a run without a recorded end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunFate {
    /// It is over. Its host may be about to record its end.
    Abandoned,
    /// It goes on.
    Open,
}

/// Finds the fate of another run of the job that `by` begins.
///
/// # Errors
///
/// [`StoreError`] when the store does not answer or refuses.
pub(super) async fn find_fate(
    kv: &Kv,
    run: &RunRecord,
    by: &RunMark,
) -> Result<RunFate, StoreError> {
    if !by.shared {
        // Its lock is exclusive to the later run.
        return Ok(RunFate::Abandoned);
    }
    if run.lock_key.is_empty() {
        return Ok(RunFate::Abandoned);
    }
    let entry = kv.get(&run.lock_key).await?;
    let is_held = entry.is_some_and(|entry| Token::from(entry.create_revision) == run.token);
    Ok(if is_held {
        RunFate::Open
    } else {
        RunFate::Abandoned
    })
}
