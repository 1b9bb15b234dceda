//! A request for one run of a job, under its lock, on any host that has the job.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leasehold_lock::{Batch, Revision};
use leasehold_records::{AdminAction, TriggerRecord, TriggerState};

use crate::desk::{OrderDesk, mark, now};
use crate::drain::known_drain;
use crate::error::OrderError;
use crate::held_run::find_runs;
use crate::pause::known_pause;
use crate::refusal::{JobSituation, find_refusal};

/// Time after which a request that no host has taken is withdrawn, unless it says otherwise.
const EXPIRE: Duration = Duration::from_hours(1);
/// Longest wait for a host.
const PATIENCE: Duration = Duration::from_secs(4);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(150);

/// A run to request.
#[derive(Clone, Debug)]
pub struct RunRequest<'a> {
    /// The job.
    pub job: &'a str,
    /// The only host that may run it.
    pub host: Option<&'a str>,
    /// Values for keys of the job's `config` table, for this run alone.
    pub config: BTreeMap<String, String>,
    /// Time after which the request is withdrawn if no host has taken it.
    pub expire: Duration,
}

/// A request that was written.
pub struct RequestedRun<'a> {
    /// Its key.
    pub key: String,
    desk: &'a OrderDesk,
    job: &'a str,
}

impl<'a> RunRequest<'a> {
    /// Returns a request for a run of a job on any host, withdrawn after an hour.
    pub const fn new(job: &'a str) -> Self {
        Self {
            job,
            host: None,
            config: BTreeMap::new(),
            expire: EXPIRE,
        }
    }
}

/// Requests one run.
///
/// # Errors
///
/// The job cannot be run now, or the order was not written, or may not have been.
pub async fn request_run<'a>(
    desk: &'a OrderDesk,
    request: RunRequest<'a>,
) -> Result<RequestedRun<'a>, OrderError> {
    let job = request.job;
    let situation = read_situation(desk, &request).await?;
    if let Some(reason) = find_refusal(job, &situation, now()) {
        return Err(OrderError::Refused(reason));
    }
    let (at, host) = (now(), request.host.map(ToOwned::to_owned));
    let record = TriggerRecord {
        id: format!("{:015}-{:08x}", at.as_u64(), mark()),
        job: job.to_owned(),
        by: desk.by().to_owned(),
        why: desk.why().to_owned(),
        at_unix_ms: at,
        config: request.config,
        host: host.clone(),
        state: TriggerState::Open,
    };
    let key = desk.root().trigger(job, &record.id);
    let mut batch = Batch::default();
    let lease = desk.lease_for(request.expire).await?;
    batch.put(&key, &record.to_json(), lease);
    let mut action = desk.action(AdminAction::Trigger);
    action.job = Some(job.to_owned());
    action.host = host;
    desk.commit((&key, Revision::NONE), batch, &action).await?;
    Ok(RequestedRun { key, desk, job })
}

impl RequestedRun<'_> {
    /// Waits until a host has taken the request, but not for long. Returns the result in one sentence.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or a host refused the run.
    pub async fn wait_for_host(&self) -> Result<String, OrderError> {
        let began = Instant::now();
        let job = self.job;
        loop {
            let found = self.desk.read(&self.key).await;
            let (found, _) = found.map_err(OrderError::after_writing)?;
            let record = found.and_then(|found| TriggerRecord::from_json(&found.value).ok());
            match record.map(|record| record.state) {
                Some(TriggerState::Claimed { runs_on, token, .. }) => {
                    return Ok(format!("{runs_on} runs {job} now (token {token})"));
                }
                Some(TriggerState::Ended {
                    runs_on,
                    token,
                    outcome,
                    detail,
                    ..
                }) => {
                    let because = if detail.is_empty() {
                        detail
                    } else {
                        format!(": {detail}")
                    };
                    let outcome = outcome.as_str();
                    return Ok(format!(
                        "{job} on {runs_on} (token {token}) ended: {outcome}{because}"
                    ));
                }
                Some(TriggerState::Refused { refused_by, reason }) => {
                    let text = format!("{refused_by} refused to run {job}: {reason}");
                    return Err(OrderError::Refused(text));
                }
                Some(TriggerState::Open) | None if began.elapsed() >= PATIENCE => {
                    return Ok(format!(
                        "a run of {job} is requested; no host has taken it yet"
                    ));
                }
                Some(TriggerState::Open) | None => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn read_situation(
    desk: &OrderDesk,
    request: &RunRequest<'_>,
) -> Result<JobSituation, OrderError> {
    let (job, root) = (request.job, desk.root());
    let (paused, _) = desk.read(&root.job_control(job)).await?;
    let (all, _) = desk.read(&root.all_control()).await?;
    let drained = match request.host {
        Some(host) => known_drain(desk.read(&root.host_control(host)).await?.0.as_ref(), now()),
        None => None,
    };
    let (kv, prefix) = (desk.kv(), root.triggers_of(job));
    let requests = kv.scan(&prefix, Vec::new, |found, key| {
        found.extend(TriggerRecord::from_json(&key.value));
    });
    let requests = requests.await;
    let requests = requests
        .map_err(|error| OrderError::unread(root, &prefix, &error))?
        .found;
    Ok(JobSituation {
        paused: known_pause(paused.as_ref(), now()),
        all_paused: known_pause(all.as_ref(), now()),
        host: request.host.map(ToOwned::to_owned),
        drained: drained.map(|drain| drain.mark),
        running: find_runs(desk, Some(job), None).await?.pop(),
        jobs: desk.jobs(Some(job)).await?,
        open: requests.into_iter().find(|request| request.state.is_open()),
    })
}
