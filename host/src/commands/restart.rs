//! `leasehold restart`: ends the run of a job, and has it run again at once with its newest version.

use std::time::{Duration, Instant};

use clap::Args;
use leasehold_records::StopKind;

use super::stop::{nothing_runs, request_end, wait_for_end};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::halting::HeldRun;
use crate::orders::sentence::list_runs;
use crate::orders::{OrderArgs, OrderDesk, halting};
use crate::show_format::print;

/// Longest wait for the next run.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// Arguments of `leasehold restart`.
#[derive(Args)]
pub(crate) struct RestartArgs {
    /// The job.
    job: String,
    /// Only the run on this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    #[command(flatten)]
    order: OrderArgs,
}

/// Asks the run under way to end, and waits for the next one.
pub(crate) async fn run(args: RestartArgs) -> Result<Exit, Failure> {
    let desk = OrderDesk::open(&args.order).await?;
    let restarted = restart(&desk, &args).await;
    desk.close(restarted).await
}

async fn restart(desk: &OrderDesk, args: &RestartArgs) -> Result<Exit, Failure> {
    let job = args.job.as_str();
    let running = request_end(desk, (job, args.host.as_deref()), StopKind::Restart).await?;
    if running.is_empty() {
        return print(&nothing_runs(job, args.host.as_deref()));
    }
    let left = wait_for_end(desk, job, &running).await?;
    let next = if left.is_empty() {
        wait_for_next(desk, job, &running).await?
    } else {
        Vec::new()
    };
    print(&describe(job, &running, &left, &next))
}

/// Waits for runs under other tokens, but not for long.
async fn wait_for_next(
    desk: &OrderDesk,
    job: &str,
    running: &[HeldRun],
) -> Result<Vec<HeldRun>, Failure> {
    let began = Instant::now();
    loop {
        let mut next = halting::find_runs(desk, Some(job), None).await?;
        next.retain(|now| running.iter().all(|before| before.token != now.token));
        if !next.is_empty() || began.elapsed() >= PATIENCE {
            return Ok(next);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn describe(job: &str, running: &[HeldRun], left: &[HeldRun], next: &[HeldRun]) -> String {
    if !left.is_empty() {
        return format!(
            "{} was asked to end and has not yet, perhaps in its grace time; the job runs again then\n",
            list_runs(left)
        );
    }
    let before = list_runs(running);
    if next.is_empty() {
        format!("{before} has ended; {job} runs again as soon as a host has its lock\n")
    } else {
        format!("{before} has ended; {} runs now\n", list_runs(next))
    }
}
