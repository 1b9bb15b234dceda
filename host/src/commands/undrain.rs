//! `leasehold undrain`: ends the drain of a host.

use clap::Args;
use leasehold_lock::Batch;
use leasehold_records::{AdminAction, HoldKind, JobRecord};

use super::drain::known_drain;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::seen::SeenOrder;
use crate::orders::{OrderArgs, OrderDesk, now, overtaken};
use crate::show_format::print;

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
    let desk = OrderDesk::open(&args.order).await?;
    let undrained = undrain(&desk, &args.host).await;
    desk.close(undrained).await
}

async fn undrain(desk: &OrderDesk, host: &str) -> Result<Exit, Failure> {
    desk.know_host(host).await?;
    let key = desk.root().host_control(host);
    let (found, revision) = desk.read(&key).await?;
    if known_drain(found.as_ref(), now()).is_none() {
        return print(&format!("{host} is not drained\n"));
    }
    let mut batch = Batch::default();
    batch.delete(&key);
    let mut action = desk.action(AdminAction::Undrain);
    action.host = Some(host.to_owned());
    if !desk.commit((&key, revision), batch, &action).await? {
        return Err(overtaken(&format!("the drain of {host}")));
    }
    let is_here = |job: &JobRecord| job.host == host;
    let is_free = |job: &JobRecord| !job.holds.iter().any(|hold| hold.kind == HoldKind::Drained);
    let seen = SeenOrder::wait(desk, None, is_here, is_free).await?;
    let (is_alive, _) = desk.read(&desk.root().host(host)).await?;
    let then = if is_alive.is_some() {
        "it starts runs again"
    } else {
        "it does not run now: start it"
    };
    let printed = print(&format!("{host} is undrained; {then}\n"));
    seen.warn();
    printed
}
