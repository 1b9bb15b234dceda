//! Ending the run of a job: the request, and the wait for its end.

use std::time::{Duration, Instant};

use clap::Args;
use leasehold_lock::{Batch, Token};
use leasehold_records::{AdminAction, StopKind};

use super::halting::{HeldRun, add_requests, find_runs};
use super::{OrderArgs, OrderDesk, overtaken};
use crate::failure::Failure;

/// Longest wait for the end of the run; its grace time may be longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// Arguments of every command that ends a run.
#[derive(Args)]
pub(crate) struct RunEndArgs {
    /// The job.
    pub(crate) job: String,
    /// Only the run on this host.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

/// Finds the runs to end. Fails for a job or a host that is not known.
pub(crate) async fn find_running(
    desk: &OrderDesk,
    args: &RunEndArgs,
) -> Result<Vec<HeldRun>, Failure> {
    desk.know_job(&args.job).await?;
    if let Some(host) = &args.host {
        desk.know_host(host).await?;
    }
    find_runs(desk, Some(&args.job), args.host.as_deref()).await
}

/// Asks these runs to end.
pub(crate) async fn request_end(
    desk: &OrderDesk,
    args: &RunEndArgs,
    running: &[HeldRun],
    kind: StopKind,
) -> Result<(), Failure> {
    let Some(first) = running.first() else {
        return Ok(());
    };
    let job = args.job.as_str();
    let mut batch = Batch::default();
    add_requests(desk, running, kind, &mut batch).await?;
    let mut action = desk.action(match kind {
        StopKind::Stop => AdminAction::Stop,
        StopKind::Restart => AdminAction::Restart,
    });
    action.job = Some(job.to_owned());
    action.host.clone_from(&args.host);
    let key = desk.root().stop_request(job, first.token);
    let (_, revision) = desk.read(&key).await?;
    if !desk.commit((&key, revision), batch, &action).await? {
        return Err(overtaken(&format!("the run of {job}")));
    }
    Ok(())
}

/// Waits until these runs have ended, but not for long. Returns those that go on.
pub(crate) async fn wait_for_end(
    desk: &OrderDesk,
    running: &[HeldRun],
) -> Result<Vec<HeldRun>, Failure> {
    let began = Instant::now();
    let mut left = running.to_vec();
    loop {
        let mut still = Vec::new();
        for run in left {
            let (entry, _) = desk.read(&run.key).await?;
            if entry.is_some_and(|entry| Token::from(entry.create_revision) == run.token) {
                still.push(run);
            }
        }
        left = still;
        if left.is_empty() || began.elapsed() >= PATIENCE {
            return Ok(left);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub(crate) fn nothing_runs(job: &str, host: Option<&str>) -> String {
    match host {
        Some(host) => format!("{job} does not run on {host}; nothing was changed\n"),
        None => format!("{job} does not run on any host; nothing was changed\n"),
    }
}
