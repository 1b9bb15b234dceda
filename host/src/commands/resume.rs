//! `leasehold resume`: ends a pause.

use clap::Args;
use leasehold_lock::Batch;
use leasehold_records::{AdminAction, HoldKind, JobRecord};

use super::pause::{PauseTarget, known_pause, refuse_no_target};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::seen::SeenOrder;
use crate::orders::sentence::join;
use crate::orders::{OrderArgs, OrderDesk, now, overtaken};
use crate::show_format::print;

/// Arguments of `leasehold resume`.
#[derive(Args)]
pub(crate) struct ResumeArgs {
    /// The job.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    job: Option<String>,
    /// End the pause of all jobs. Jobs that are paused by name stay paused.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    order: OrderArgs,
}

/// Ends the pause, and waits until the hosts have seen it.
pub(crate) async fn run(args: ResumeArgs) -> Result<Exit, Failure> {
    refuse_no_target(args.job.as_deref(), args.all)?;
    let desk = OrderDesk::open(&args.order).await?;
    let resumed = resume(&desk, args.job.as_deref()).await;
    desk.close(resumed).await
}

async fn resume(desk: &OrderDesk, job: Option<&str>) -> Result<Exit, Failure> {
    if let Some(job) = job {
        desk.know_job(job).await?;
    }
    let target = PauseTarget::new(desk, job);
    let (found, revision) = desk.read(&target.key).await?;
    if known_pause(found.as_ref(), now()).is_none() {
        let still = still_held(desk, job).await?;
        return print(&format!("{} not paused{still}\n", target.subject));
    }
    let mut batch = Batch::default();
    batch.delete(&target.key);
    let mut action = desk.action(AdminAction::Resume);
    action.job = job.map(Into::into);
    if !desk.commit((&target.key, revision), batch, &action).await? {
        return Err(overtaken(&format!("the pause of {}", target.name)));
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
    let printed = print(&format!("{} resumed; {hosts}{still}\n", target.subject));
    seen.warn();
    printed
}

/// Returns what else keeps the job from running, as the end of a sentence.
async fn still_held(desk: &OrderDesk, job: Option<&str>) -> Result<String, Failure> {
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
