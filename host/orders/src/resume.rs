//! The end of a pause.

use leasehold_lock::Batch;
use leasehold_records::{AdminAction, HoldKind, JobRecord};

use crate::desk::{OrderDesk, now};
use crate::error::OrderError;
use crate::pause::{PauseTarget, known_pause};
use crate::report::OrderReport;
use crate::seen::SeenOrder;
use crate::sentence::join;

/// Ends the pause of a job, or that of all jobs, and waits until the hosts have seen it. Jobs that are paused by name
/// stay paused after the end of the pause of all.
///
/// # Errors
///
/// The order was not written, or may not have been.
pub async fn resume(desk: &OrderDesk, job: Option<&str>) -> Result<OrderReport, OrderError> {
    let target = PauseTarget::new(desk, job);
    let (found, revision) = desk.read(&target.key).await?;
    if known_pause(found.as_ref(), now()).is_none() {
        let still = still_held(desk, job).await;
        let still = still.map_err(OrderError::after_writing)?;
        return Ok(OrderReport::new(format!(
            "{} not paused{still}",
            target.subject
        )));
    }
    let mut batch = Batch::default();
    batch.delete(&target.key);
    let mut action = desk.action(AdminAction::Resume);
    action.job = job.map(Into::into);
    if !desk.commit((&target.key, revision), batch, &action).await? {
        return Err(OrderError::overtaken(&format!(
            "the pause of {}",
            target.name
        )));
    }
    let is_free = |job: &JobRecord| !job.holds.iter().any(|hold| hold.kind == target.kind);
    let seen = SeenOrder::wait(desk, job, |_| true, is_free).await?;
    let hosts = seen.hosts();
    let hosts = if hosts.is_empty() {
        "no host has it now".to_owned()
    } else {
        format!("seen by {}", join(&hosts))
    };
    let still = still_held(desk, job).await?;
    Ok(seen.report(format!("{} resumed; {hosts}{still}", target.subject)))
}

/// Returns what else keeps the job from running, as the end of a sentence.
async fn still_held(desk: &OrderDesk, job: Option<&str>) -> Result<String, OrderError> {
    if job.is_some() {
        let (found, _) = desk.read(&desk.root().all_control()).await?;
        return Ok(
            known_pause(found.as_ref(), now()).map_or_else(String::new, |all| {
                format!("; all jobs are paused {all}: `leasehold resume --all` ends that")
            }),
        );
    }
    let jobs = desk.jobs(None).await?;
    let paused = jobs.iter().filter(|job| {
        let mut holds = job.holds.iter();
        holds.any(|hold| hold.kind == HoldKind::Paused)
    });
    let mut names: Vec<String> = paused.map(|job| job.job.clone()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(if names.is_empty() {
        String::new()
    } else {
        format!("; paused by name: {}", join(&names))
    })
}
