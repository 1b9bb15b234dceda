//! `leasehold pause`: keeps new runs of a job, or of all jobs, from starting.

use std::time::SystemTime;

use clap::Args;
use leasehold_orders::{PauseOrder, pause, until};
use leasehold_records::UnixMs;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, OrderArgs, print_report};

/// Arguments of `leasehold pause`.
#[derive(Args)]
pub(crate) struct PauseArgs {
    /// The job.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    job: Option<String>,
    /// All jobs, also those that are added later.
    #[arg(long)]
    all: bool,
    /// End of the pause: a time of day (06:00), a moment (2026-12-01T06:00:00Z) or a time span (2h).
    ///
    /// Each host ends the pause by its own wall clock.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Ask the runs that are under way to stop, within their grace time.
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    order: OrderArgs,
}

/// Pauses, and waits until the hosts have seen it.
pub(crate) async fn run(args: PauseArgs) -> Result<Exit, Failure> {
    refuse_no_target(args.job.as_deref(), args.all)?;
    let zone = until::local_zone();
    let now = UnixMs::from_system(SystemTime::now());
    let until = args
        .until
        .as_deref()
        .map(|text| until::parse(text, now, zone));
    let until = until
        .transpose()
        .map_err(|error| Failure::of_line(Exit::Usage, &format!("--until: {error}")))?;
    let desk = OpenDesk::open(&args.order).await?;
    let order = PauseOrder {
        job: args.job.as_deref(),
        until,
        stop: args.stop,
        zone,
    };
    let paused = write(&desk, &order).await;
    desk.close(paused).await
}

async fn write(open: &OpenDesk, order: &PauseOrder<'_>) -> Result<Exit, Failure> {
    if let Some(job) = order.job {
        open.know_job(job).await?;
    }
    print_report(&pause(&open.desk, order).await?)
}

/// Fails unless a job or all jobs are named: a missing name never means all of them.
pub(crate) fn refuse_no_target(job: Option<&str>, all: bool) -> Result<(), Failure> {
    if job.is_some() != all {
        return Ok(());
    }
    let text = "name one job, or all of them with --all".to_owned();
    Err(Failure::new(Exit::Usage, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_name_never_means_all_jobs() {
        assert!(refuse_no_target(Some("ledger"), false).is_ok());
        assert!(refuse_no_target(None, true).is_ok());
        for (job, all) in [(None, false), (Some("ledger"), true)] {
            assert_eq!(refuse_no_target(job, all).unwrap_err().exit, Exit::Usage);
        }
    }
}
