//! `leasehold restart`: ends the run of a job, and has it run again at once with its newest version.

use leasehold_orders::{RunEndOrder, restart};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, RunEndArgs, print_report};

/// Asks the run under way to end, and waits for the next one.
pub(crate) async fn run(args: RunEndArgs) -> Result<Exit, Failure> {
    let desk = OpenDesk::open(&args.order).await?;
    let restarted = write(&desk, &args).await;
    desk.close(restarted).await
}

async fn write(open: &OpenDesk, args: &RunEndArgs) -> Result<Exit, Failure> {
    open.know_run(args).await?;
    let order = RunEndOrder {
        job: &args.job,
        host: args.host.as_deref(),
    };
    print_report(&restart(&open.desk, order).await?)
}
