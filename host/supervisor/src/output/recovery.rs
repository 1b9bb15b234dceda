//! The last output of runs whose process died, added to their records.

use std::time::Duration;

use leasehold_lock::{Backoff, Kv, Revision, StoreError};
use leasehold_records::{Outcome, Root, RunRecord};

use super::last_output::CutOffOutput;
use crate::event_log::EventLog;
use crate::record_writer::{fit_run, log_abandoned};

/// Attempts at one run before it is left to the next start.
const MOST_ATTEMPTS: u32 = 20;

/// Result of adding output to a record.
enum AddResult {
    /// The record has the output, or needs none.
    Kept,
    /// The record has the output, and the end that this host gave it.
    Ended(Box<RunRecord>),
    /// The record has changed meanwhile.
    Overtaken,
}

/// Adds the output of cut-off runs to their records, and deletes the files. Logs the runs whose end the store has
/// accepted from this host.
pub(crate) async fn recover(kv: Kv, root: Root, event_log: EventLog, found: Vec<CutOffOutput>) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    for cut_off in found {
        for _ in 0..MOST_ATTEMPTS {
            match add_output(&kv, &root, &cut_off.record).await {
                Ok(AddResult::Overtaken) => {}
                Ok(added) => {
                    if let AddResult::Ended(run) = added {
                        log_abandoned(&event_log, &run);
                    }
                    cut_off.forget();
                    backoff.reset();
                    break;
                }
                Err(error) => {
                    let run = &cut_off.record.run_id;
                    tracing::debug!(%error, run, "cannot record the last output of a cut-off run");
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }
}

/// Adds the output to the run's record, if the record has no end with output.
async fn add_output(kv: &Kv, root: &Root, cut_off: &RunRecord) -> Result<AddResult, StoreError> {
    let key = root.run(&cut_off.key());
    let stored = kv.get(&key).await?;
    let revision = stored
        .as_ref()
        .map_or(Revision::NONE, |stored| stored.mod_revision);
    let recorded = match &stored {
        None => None,
        Some(stored) => match RunRecord::from_json(&stored.value) {
            Ok(record) => Some(record),
            Err(_) => return Ok(AddResult::Kept),
        },
    };
    let had_end = recorded.as_ref().is_some_and(RunRecord::is_over);
    let Some(record) = complete(recorded, cut_off) else {
        return Ok(AddResult::Kept);
    };
    let json = fit_run(&record);
    let is_written = kv.compare_and_put(&key, revision, &json).await?;
    Ok(match (is_written, had_end) {
        (false, _) => AddResult::Overtaken,
        (true, true) => AddResult::Kept,
        (true, false) => AddResult::Ended(Box::new(record)),
    })
}

/// Returns the record with the output; `None` if nothing is to be added.
fn complete(recorded: Option<RunRecord>, cut_off: &RunRecord) -> Option<RunRecord> {
    let mut record = recorded.unwrap_or_else(|| cut_off.clone());
    match record.outcome {
        Outcome::Running => {
            record.outcome = Outcome::Abandoned;
            "its host's process died; the output is what the host had written down"
                .clone_into(&mut record.detail);
        }
        Outcome::Abandoned | Outcome::Crashed if record.output.is_empty() => {}
        _ => return None,
    }
    record.output.clone_from(&cut_off.output);
    record.output_truncated_bytes = cut_off.output_truncated_bytes;
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(outcome: Outcome, output: &str) -> RunRecord {
        RunRecord {
            outcome,
            output: output.into(),
            ..crate::record_writer::sample(7)
        }
    }

    #[test]
    fn output_completes_records_without_an_end_of_their_own() {
        let cut_off = record(Outcome::Running, "last words\n");
        for recorded in [None, Some(record(Outcome::Running, ""))] {
            let completed = complete(recorded, &cut_off).unwrap();
            assert_eq!(completed.outcome, Outcome::Abandoned);
            assert_eq!(completed.output, "last words\n");
        }
        for outcome in [Outcome::Abandoned, Outcome::Crashed] {
            let completed = complete(Some(record(outcome, "")), &cut_off).unwrap();
            assert_eq!(
                (completed.outcome, completed.output),
                (outcome, cut_off.output.clone())
            );
            assert_eq!(complete(Some(record(outcome, "known\n")), &cut_off), None);
        }
        assert_eq!(complete(Some(record(Outcome::Done, "")), &cut_off), None);
    }
}
