//! Orders to hosts that the operator has confirmed.

use leasehold_lock::Locks;
use leasehold_orders::{
    DrainOrder, OrderDesk, OrderError, OrderReport, PauseOrder, RunEndOrder, RunRequest, drain,
    pause, request_run, restart, resume, stop, undrain,
};
use leasehold_records::Root;

use crate::app::{HostOrder, OrderVerb};

/// Writes the order, waits a few seconds for the hosts, and returns a sentence about the result.
pub(super) async fn execute(
    locks: &Locks,
    root: &Root,
    operator: &str,
    order: HostOrder,
) -> Result<String, String> {
    let desk = OrderDesk::new(locks.clone(), root.clone(), operator.to_owned(), &order.why);
    let report = write(&desk, &order).await;
    match report.map_err(|error| error.to_string())? {
        OrderReport {
            sentence,
            warning: None,
        } => Ok(sentence),
        OrderReport {
            sentence,
            warning: Some(warning),
        } => Ok(format!("{sentence}; warning: {warning}")),
    }
}

async fn write(desk: &OrderDesk, order: &HostOrder) -> Result<OrderReport, OrderError> {
    match &order.verb {
        OrderVerb::Trigger { job } => {
            let requested = request_run(desk, RunRequest::new(job)).await?;
            let sentence = requested.wait_for_host().await?;
            Ok(OrderReport {
                sentence,
                warning: None,
            })
        }
        OrderVerb::Pause { job, until } => {
            let pausing = PauseOrder {
                job: job.as_deref(),
                until: *until,
                stop: false,
                zone: order.zone,
            };
            pause(desk, &pausing).await
        }
        OrderVerb::Resume { job } => resume(desk, job.as_deref()).await,
        OrderVerb::Stop { job, host } => stop(desk, run_of(job, host)).await,
        OrderVerb::Restart { job, host } => restart(desk, run_of(job, host)).await,
        OrderVerb::Drain { host } => {
            let draining = DrainOrder {
                host,
                keep: false,
                stop: false,
            };
            drain(desk, &draining).await
        }
        OrderVerb::Undrain { host } => undrain(desk, host).await,
    }
}

fn run_of<'a>(job: &'a str, host: &'a str) -> RunEndOrder<'a> {
    RunEndOrder {
        job,
        host: Some(host),
    }
}
