//! `leasehold undrain`: ends the drain of a host.

use clap::Args;
use leasehold_orders::undrain;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, OrderArgs, print_report};

/// Arguments of `leasehold undrain`.
#[derive(Args)]
pub(crate) struct UndrainArgs {
    /// The host's id.
    host: String,
    #[command(flatten)]
    order: OrderArgs,
}

/// Ends the drain, and waits until the host has seen that.
pub(crate) async fn run(args: UndrainArgs) -> Result<Exit, Failure> {
    let desk = OpenDesk::open(&args.order).await?;
    let undrained = write(&desk, &args.host).await;
    desk.close(undrained).await
}

async fn write(open: &OpenDesk, host: &str) -> Result<Exit, Failure> {
    open.know_host(host).await?;
    print_report(&undrain(&open.desk, host).await?)
}
