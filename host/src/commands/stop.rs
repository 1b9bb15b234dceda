//! `leasehold stop`: asks the run of a job to end.

use std::time::{Duration, Instant};

use clap::Args;
use leasehold_lock::Batch;
use leasehold_records::{AdminAction, StopKind};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::halting::HeldRun;
use crate::orders::sentence::list_runs;
use crate::orders::{OrderArgs, OrderDesk, halting, overtaken};
use crate::show_format::print;

/// Longest wait for the end of the run; its grace time may be longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// Arguments of `leasehold stop`.
#[derive(Args)]
pub(crate) struct StopArgs {
    /// The job.
    job: String,
    /// Only the run on this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    #[command(flatten)]
    order: OrderArgs,
}

/// Asks the run under way to end, and waits for its end.
pub(crate) async fn run(args: StopArgs) -> Result<Exit, Failure> {
    let desk = OrderDesk::open(&args.order).await?;
    let stopped = stop(&desk, &args).await;
    desk.close(stopped).await
}

async fn stop(desk: &OrderDesk, args: &StopArgs) -> Result<Exit, Failure> {
    let job = args.job.as_str();
    let running = request_end(desk, (job, args.host.as_deref()), StopKind::Stop).await?;
    if running.is_empty() {
        return print(&nothing_runs(job, args.host.as_deref()));
    }
    let left = wait_for_end(desk, job, &running).await?;
    print(&describe(job, &running, &left))
}

/// Asks the runs of a job to end, on all hosts or one. Returns these runs.
pub(crate) async fn request_end(
    desk: &OrderDesk,
    (job, host): (&str, Option<&str>),
    kind: StopKind,
) -> Result<Vec<HeldRun>, Failure> {
    desk.know_job(job).await?;
    if let Some(host) = host {
        desk.know_host(host).await?;
    }
    let running = halting::find_runs(desk, Some(job), host).await?;
    let Some(first) = running.first() else {
        return Ok(running);
    };
    let mut batch = Batch::default();
    halting::add_requests(desk, &running, kind, &mut batch).await?;
    let mut action = desk.action(match kind {
        StopKind::Stop => AdminAction::Stop,
        StopKind::Restart => AdminAction::Restart,
    });
    action.job = Some(job.to_owned());
    action.host = host.map(Into::into);
    let key = desk.root().stop_request(job, first.token);
    let (_, revision) = desk.read(&key).await?;
    if !desk.commit((&key, revision), batch, &action).await? {
        return Err(overtaken(&format!("the run of {job}")));
    }
    Ok(running)
}

/// Waits until these runs have ended, but not for long. Returns those that go on.
pub(crate) async fn wait_for_end(
    desk: &OrderDesk,
    job: &str,
    running: &[HeldRun],
) -> Result<Vec<HeldRun>, Failure> {
    let began = Instant::now();
    loop {
        let mut left = halting::find_runs(desk, Some(job), None).await?;
        left.retain(|now| running.iter().any(|before| before.token == now.token));
        if left.is_empty() || began.elapsed() >= PATIENCE {
            return Ok(left);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub(crate) fn nothing_runs(job: &str, host: Option<&str>) -> String {
    match host {
        Some(host) => format!("{job} does not run on {host}; nothing was changed\n"),
        None => format!("{job} does not run on any host; nothing was changed\n"),
    }
}

fn describe(job: &str, running: &[HeldRun], left: &[HeldRun]) -> String {
    let after =
        format!("the job goes on by its schedule (`leasehold pause {job} --stop` keeps it off)");
    if left.is_empty() {
        format!("{} is stopped; {after}\n", list_runs(running))
    } else {
        format!(
            "{} was asked to stop and has not ended within {} s, perhaps in its grace time; {after}\n",
            list_runs(left),
            PATIENCE.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use leasehold_lock::Token;
    use leasehold_records::UnixMs;

    use super::*;

    #[test]
    fn stop_reads_with_the_run_and_what_follows() {
        let run = HeldRun {
            job: "ledger".into(),
            host: "web1".into(),
            token: Token::new(42),
            since: UnixMs::new(0),
        };
        let runs = [run];
        insta::assert_snapshot!(
            describe("ledger", &runs, &[]),
            @"ledger on web1 (token 42) is stopped; the job goes on by its schedule (`leasehold pause ledger --stop` keeps it off)"
        );
        insta::assert_snapshot!(
            describe("ledger", &runs, &runs),
            @"ledger on web1 (token 42) was asked to stop and has not ended within 10 s, perhaps in its grace time; the job goes on by its schedule (`leasehold pause ledger --stop` keeps it off)"
        );
        insta::assert_snapshot!(
            nothing_runs("ledger", Some("web2")),
            @"ledger does not run on web2; nothing was changed"
        );
    }
}
