//! The outcomes of the last runs of jobs.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use leasehold_lock::{Kv, StoreError};
use leasehold_records::{Outcome, Root, RunRecord};

/// Number of outcomes that are shown of each job.
pub(crate) const SHOWN: usize = 8;
/// Number of jobs that are read at once.
const AT_ONCE: usize = 8;

/// Reads the outcomes of the last [`SHOWN`] runs of these jobs, the newest last.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) async fn read_recent(
    kv: &Kv,
    root: &Root,
    jobs: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, Vec<Outcome>>, StoreError> {
    let readings = jobs.into_iter().map(|job| async move {
        let outcomes = read_outcomes(kv, &root.runs_of(&job)).await;
        (job, outcomes)
    });
    let mut readings = iter(readings).buffer_unordered(AT_ONCE);
    let mut recent = BTreeMap::new();
    while let Some((job, outcomes)) = readings.next().await {
        recent.insert(job, outcomes?);
    }
    Ok(recent)
}

/// Reads the last outcomes of the runs under one prefix.
async fn read_outcomes(kv: &Kv, prefix: &str) -> Result<Vec<Outcome>, StoreError> {
    let keys = kv.keys(prefix).await?;
    let Some(first) = keys.get(keys.len().saturating_sub(SHOWN)) else {
        return Ok(Vec::new());
    };
    let runs = kv.scan_range(first, &end_of(prefix)).await?.found;
    let runs = runs
        .iter()
        .filter_map(|kv| RunRecord::from_json(&kv.value).ok());
    Ok(last_outcomes(runs))
}

/// Returns the first key after all that begin with this prefix, whose last character is a slash: `0` follows it.
fn end_of(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}

/// Returns the last outcomes of these runs, oldest first. Runs that share a record count one by one.
fn last_outcomes(runs: impl Iterator<Item = RunRecord>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for run in runs {
        let count = usize::try_from(run.runs()).unwrap_or(SHOWN).min(SHOWN);
        outcomes.extend(std::iter::repeat_n(run.outcome, count));
    }
    outcomes.split_off(outcomes.len().saturating_sub(SHOWN))
}

/// Returns true if the last run that has ended failed.
pub(crate) fn has_failed(outcomes: &[Outcome]) -> bool {
    let mut ended = outcomes.iter().rev();
    let last = ended.find(|outcome| **outcome != Outcome::Running);
    last.is_some_and(|outcome| outcome.is_failure())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_ended_run_decides_whether_a_job_has_failed() {
        use Outcome::{Done, Exit, Running, Stopped};
        assert!(has_failed(&[Done, Exit, Running]));
        assert!(!has_failed(&[Exit, Done]));
        assert!(!has_failed(&[Exit, Stopped]));
        assert!(!has_failed(&[Running]) && !has_failed(&[]));
        assert_eq!(end_of("/leasehold/runs/j/"), "/leasehold/runs/j0");
    }
}
