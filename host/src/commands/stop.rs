//! `leasehold stop`: asks the run of a job to end.

use leasehold_records::StopKind;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::OrderDesk;
use crate::orders::halting::HeldRun;
use crate::orders::run_end::{
    PATIENCE, RunEndArgs, find_running, nothing_runs, request_end, wait_for_end,
};
use crate::orders::sentence::list_runs;
use crate::show_format::print;

/// Asks the run under way to end, and waits for its end.
pub(crate) async fn run(args: RunEndArgs) -> Result<Exit, Failure> {
    let desk = OrderDesk::open(&args.order).await?;
    let stopped = stop(&desk, &args).await;
    desk.close(stopped).await
}

async fn stop(desk: &OrderDesk, args: &RunEndArgs) -> Result<Exit, Failure> {
    let job = args.job.as_str();
    let running = find_running(desk, args).await?;
    if running.is_empty() {
        return print(&nothing_runs(job, args.host.as_deref()));
    }
    request_end(desk, args, &running, StopKind::Stop).await?;
    let left = wait_for_end(desk, &running).await?;
    print(&describe(job, &running, &left))
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
    use super::*;
    use crate::orders::hold::tests::run;

    #[test]
    fn stop_reads_with_the_run_and_what_follows() {
        let runs = [run(42)];
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
