//! The event about a run without an end.

use leasehold_records::RunRecord;

use crate::event::{AbandonedRun, EventContext, EventKind};
use crate::event_log::EventLog;

/// Logs a run that has no end. The store has accepted this host's record of that, so that no other host logs it.
pub(crate) fn log_abandoned(event_log: &EventLog, run: &RunRecord) {
    let about = EventContext {
        job: Some(run.job.as_str().into()),
        lock: Some(run.lock.as_str().into()),
        token: Some(run.token),
        run: Some(run.run_id.as_str().into()),
    };
    let abandoned = EventKind::RunAbandoned(AbandonedRun {
        ran_on: run.host.clone(),
        attempt: run.attempt,
        tick: run.tick_unix_ms.map(|tick| tick.to_string()),
    });
    event_log.emit(about, abandoned);
}
