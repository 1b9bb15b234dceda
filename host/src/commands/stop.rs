//! `leasehold stop`: asks the run of a job to end.

use leasehold_orders::{RunEndOrder, stop};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, RunEndArgs, print_report};

/// Asks the run under way to end, and waits for its end.
pub(crate) async fn run(args: RunEndArgs) -> Result<Exit, Failure> {
    let desk = OpenDesk::open(&args.order).await?;
    let stopped = write(&desk, &args).await;
    desk.close(stopped).await
}

async fn write(open: &OpenDesk, args: &RunEndArgs) -> Result<Exit, Failure> {
    open.know_run(args).await?;
    let order = RunEndOrder {
        job: &args.job,
        host: args.host.as_deref(),
    };
    print_report(&stop(&open.desk, order).await?)
}
