//! `leasehold resume`: ends a pause.

use clap::Args;
use leasehold_orders::resume;

use super::pause::refuse_no_target;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, OrderArgs, print_report};

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
    let desk = OpenDesk::open(&args.order).await?;
    let resumed = write(&desk, args.job.as_deref()).await;
    desk.close(resumed).await
}

async fn write(open: &OpenDesk, job: Option<&str>) -> Result<Exit, Failure> {
    if let Some(job) = job {
        open.know_job(job).await?;
    }
    print_report(&resume(&open.desk, job).await?)
}
