//! Runs under way, found by the holders of their locks, and requests to end them by the token of each.
//!
//! The entry of a lock shows its holder from the first moment on; a job's record is written a little later.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_lock::{Batch, Token};
use leasehold_records::{HolderRecord, StopKind, StopRequest, UnixMs};

use crate::desk::{OrderDesk, now};
use crate::error::OrderError;

/// Time after which a request is deleted. A later run has another token in any case.
const KEEP: Duration = Duration::from_mins(10);

/// A job that holds its lock: its run is under way, begins, or pauses between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldRun {
    pub(crate) job: String,
    pub(crate) host: String,
    /// The key of its entry.
    pub(crate) key: String,
    pub(crate) token: Token,
    /// The time when its host joined the queue of the lock.
    pub(crate) since: UnixMs,
}

/// Finds the runs under way of a job, or of all jobs; on one host, or on all.
pub(crate) async fn find_runs(
    desk: &OrderDesk,
    job: Option<&str>,
    host: Option<&str>,
) -> Result<Vec<HeldRun>, OrderError> {
    let (kv, prefix) = (desk.kv(), desk.root().locks());
    let first = kv.scan(&prefix, BTreeMap::new, |first, entry| {
        let Some((lock, _)) = entry.key.rsplit_once('/') else {
            return;
        };
        let known = first
            .entry(lock.to_owned())
            .or_insert_with(|| entry.clone());
        if entry.create_revision < known.create_revision {
            *known = entry;
        }
    });
    let first = first.await;
    let first = first.map_err(|error| OrderError::unread(desk.root(), &error))?;
    let mut runs: Vec<HeldRun> = first
        .found
        .into_values()
        .filter_map(|entry| {
            let holder = HolderRecord::from_json(&entry.value).ok()?;
            Some(HeldRun {
                job: holder.job,
                host: holder.host,
                key: entry.key,
                token: Token::from(entry.create_revision),
                since: holder.since_unix_ms,
            })
        })
        .collect();
    runs.retain(|run| {
        job.is_none_or(|job| run.job == job) && host.is_none_or(|host| run.host == host)
    });
    Ok(runs)
}

/// Adds a request for each of these runs to the batch.
pub(crate) async fn add_requests(
    desk: &OrderDesk,
    runs: &[HeldRun],
    kind: StopKind,
    batch: &mut Batch,
) -> Result<(), OrderError> {
    if runs.is_empty() {
        return Ok(());
    }
    let lease = desk.lease_for(KEEP).await?;
    let at = now();
    for run in runs {
        let request = StopRequest {
            job: run.job.clone(),
            token: run.token,
            kind,
            by: desk.by().to_owned(),
            why: desk.why().to_owned(),
            at_unix_ms: at,
        };
        let key = desk.root().stop_request(&run.job, run.token);
        batch.put(&key, &request.to_json(), lease);
    }
    Ok(())
}
