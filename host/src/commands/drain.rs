//! `leasehold drain`: keeps a host from starting runs.

use clap::Args;
use leasehold_orders::{DrainOrder, drain};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, OrderArgs, print_report};

/// Arguments of `leasehold drain`.
#[derive(Args)]
pub(crate) struct DrainArgs {
    /// The host's id.
    host: String,
    /// Let the host go on without runs, instead of ending when its last run has ended.
    #[arg(long)]
    keep: bool,
    /// Ask the runs that are under way to stop, within their grace time.
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    order: OrderArgs,
}

/// Drains the host, and waits until it has seen that.
pub(crate) async fn run(args: DrainArgs) -> Result<Exit, Failure> {
    let desk = OpenDesk::open(&args.order).await?;
    let drained = write(&desk, &args).await;
    desk.close(drained).await
}

async fn write(open: &OpenDesk, args: &DrainArgs) -> Result<Exit, Failure> {
    open.know_host(&args.host).await?;
    let order = DrainOrder {
        host: &args.host,
        keep: args.keep,
        stop: args.stop,
    };
    print_report(&drain(&open.desk, &order).await?)
}
