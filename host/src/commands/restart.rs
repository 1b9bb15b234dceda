//! `leasehold restart`: ends the run of a job, and has it run again at once with its newest version.

use std::time::{Duration, Instant};

use leasehold_records::StopKind;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::halting::HeldRun;
use crate::orders::run_end::{RunEndArgs, find_running, nothing_runs, request_end, wait_for_end};
use crate::orders::sentence::list_runs;
use crate::orders::{OrderDesk, halting};
use crate::show_format::print;

/// Longest wait for the next run.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the run under way to end, and waits for the next one.
pub(crate) async fn run(args: RunEndArgs) -> Result<Exit, Failure> {
    let desk = OrderDesk::open(&args.order).await?;
    let restarted = restart(&desk, &args).await;
    desk.close(restarted).await
}

async fn restart(desk: &OrderDesk, args: &RunEndArgs) -> Result<Exit, Failure> {
    let job = args.job.as_str();
    let running = find_running(desk, args).await?;
    if running.is_empty() {
        return print(&nothing_runs(job, args.host.as_deref()));
    }
    request_end(desk, args, &running, StopKind::Restart).await?;
    let left = wait_for_end(desk, &running).await?;
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
