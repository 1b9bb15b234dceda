//! Marking: the end of a tick's run, written into its record.

use leasehold_config::wall::UnixMs;
use leasehold_lock::{StoreError, Token};
use leasehold_records::{Outcome, TickRecord, TickState};

use super::store::TickStore;
use crate::job::machine::TickMark;

/// End of the run for a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedTick {
    pub(crate) tick: UnixMs,
    pub(crate) token: Token,
    pub(crate) mark: TickMark,
    pub(crate) outcome: Outcome,
    pub(crate) now: UnixMs,
}

/// Reason for which a tick is not marked.
#[derive(Clone, Debug)]
pub(crate) struct UnmarkedTick {
    pub(crate) reason: String,
    /// True if another attempt may succeed.
    pub(crate) may_pass: bool,
}

impl UnmarkedTick {
    fn passing(reason: impl Into<String>) -> Self {
        let (reason, may_pass) = (reason.into(), true);
        Self { reason, may_pass }
    }

    fn lasting(reason: impl Into<String>) -> Self {
        let (reason, may_pass) = (reason.into(), false);
        Self { reason, may_pass }
    }
}

impl From<StoreError> for UnmarkedTick {
    fn from(error: StoreError) -> Self {
        Self::passing(error.to_string())
    }
}

/// Marks a tick whose run has ended, once.
///
/// # Errors
///
/// [`UnmarkedTick`]: the tick may be run again.
pub(crate) async fn mark(store: &impl TickStore, ended: EndedTick) -> Result<(), UnmarkedTick> {
    let Some(found) = store.read().await? else {
        return Err(UnmarkedTick::lasting("its record was deleted"));
    };
    let Ok(mut record) = TickRecord::from_json(&found.json) else {
        return Err(UnmarkedTick::lasting("its record is not a tick record"));
    };
    if record.token != ended.token || record.tick_unix_ms != ended.tick {
        return Err(UnmarkedTick::lasting(format!(
            "{} has taken over",
            record.host
        )));
    }
    if record.state != TickState::Claimed {
        // This host wrote it, and the answer did not arrive.
        return Ok(());
    }
    record.ended_unix_ms = Some(ended.now);
    record.outcome = Some(ended.outcome);
    (record.state, record.retry_unix_ms) = match ended.mark {
        TickMark::Done => (TickState::Done, None),
        TickMark::Retry { not_before } => (TickState::Retry, Some(not_before)),
    };
    if store.write(found.revision, record.to_json()).await? {
        Ok(())
    } else {
        Err(UnmarkedTick::passing("its record was written meanwhile"))
    }
}
