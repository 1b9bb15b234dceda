//! Requests to end runs, by the token of each.

use std::time::Duration;

use leasehold_lock::Batch;
use leasehold_records::{JobRecord, Root, StopKind, StopRequest, UnixMs};

use super::{OrderDesk, is_running, now};
use crate::failure::Failure;

/// Time after which a request is deleted. A later run has another token in any case.
const KEEP: Duration = Duration::from_mins(10);

/// Adds a request for each run that is under way to the batch. Returns these runs.
pub(crate) async fn add_requests(
    desk: &OrderDesk,
    jobs: &[JobRecord],
    kind: StopKind,
    batch: &mut Batch,
) -> Result<Vec<JobRecord>, Failure> {
    let running: Vec<JobRecord> = jobs.iter().filter(|job| is_running(job)).cloned().collect();
    if running.is_empty() {
        return Ok(running);
    }
    let lease = desk.lease_for(KEEP).await?;
    for request in requests(&running, kind, (desk.by(), desk.why()), now()) {
        let key = key_of(desk.root(), &request);
        batch.put(&key, &request.to_json(), lease);
    }
    Ok(running)
}

/// Returns the key of a request.
pub(crate) fn key_of(root: &Root, request: &StopRequest) -> String {
    root.stop_request(&request.job, request.token)
}

fn requests(
    running: &[JobRecord],
    kind: StopKind,
    (by, why): (&str, &str),
    at: UnixMs,
) -> Vec<StopRequest> {
    let mut requests: Vec<StopRequest> = running
        .iter()
        .filter_map(|job| {
            Some(StopRequest {
                job: job.job.clone(),
                token: job.token?,
                kind,
                by: by.to_owned(),
                why: why.to_owned(),
                at_unix_ms: at,
            })
        })
        .collect();
    // A transaction may hold a key once.
    requests.sort_by(|a, b| (&a.job, a.token).cmp(&(&b.job, b.token)));
    requests.dedup_by(|a, b| (&a.job, a.token) == (&b.job, b.token));
    requests
}
