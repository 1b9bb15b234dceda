//! The fate of a run without a recorded end, under a lock that other runs may hold beside it.

use leasehold_lock::{Kv, StoreError, Token};
use leasehold_records::{HostRecord, Root, RunRecord};

use super::outbox::RunMark;

/// The fate of a run without a recorded end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunFate {
    /// It is over, and its host does not record its end any more.
    Abandoned,
    /// It goes on.
    Open,
    /// It is over, and its host lives: that records the end.
    Ending,
}

/// Finds the fate of an earlier run of the job that `by` begins.
///
/// # Errors
///
/// [`StoreError`] when the store does not answer or refuses.
pub(super) async fn find_fate(
    kv: &Kv,
    root: &Root,
    run: &RunRecord,
    by: &RunMark,
) -> Result<RunFate, StoreError> {
    if !by.shared {
        // Its lock is exclusive to the later run.
        return Ok(RunFate::Abandoned);
    }
    if !run.lock_key.is_empty() {
        let entry = kv.get(&run.lock_key).await?;
        if entry.is_some_and(|entry| Token::from(entry.create_revision) == run.token) {
            return Ok(RunFate::Open);
        }
    }
    let host = kv.get(&root.host(&run.host)).await?;
    let host = host.and_then(|host| HostRecord::from_json(&host.value).ok());
    Ok(judge_host(host.as_ref(), run))
}

/// Returns the fate of a run whose entry does not exist, by the record of its host.
fn judge_host(host: Option<&HostRecord>, run: &RunRecord) -> RunFate {
    match host {
        Some(host) if host.started_unix_ms <= run.started_unix_ms => RunFate::Ending,
        // It vanished, or has started anew since.
        Some(_) | None => RunFate::Abandoned,
    }
}

#[cfg(test)]
mod tests {
    use leasehold_records::UnixMs;
    use leasehold_records::fixtures::{host_record, run_record};

    use super::*;

    #[test]
    fn run_is_left_to_its_host_while_that_lives() {
        let run = RunRecord {
            started_unix_ms: UnixMs::new(5_000),
            ..run_record("j", "b", 3)
        };
        let started = |at| HostRecord {
            started_unix_ms: UnixMs::new(at),
            ..host_record("b", &["j"])
        };
        for (host, fate) in [
            (None, RunFate::Abandoned),
            (Some(started(4_000)), RunFate::Ending),
            (Some(started(6_000)), RunFate::Abandoned),
        ] {
            assert_eq!(judge_host(host.as_ref(), &run), fate, "{host:?}");
        }
    }
}
