//! A request to end the run of a job.

use leasehold_records::StopKind;

use crate::desk::OrderDesk;
use crate::error::OrderError;
use crate::held_run::HeldRun;
use crate::report::OrderReport;
use crate::run_end::{PATIENCE, RunEndOrder, wait_for_end};
use crate::sentence::{list_runs, pick_verb};

/// Asks the run under way to end, and waits for its end.
///
/// # Errors
///
/// The order was not written, or may not have been.
pub async fn stop(desk: &OrderDesk, order: RunEndOrder<'_>) -> Result<OrderReport, OrderError> {
    let running = order.find_running(desk).await?;
    if running.is_empty() {
        return Ok(OrderReport::new(order.nothing_runs()));
    }
    order.request(desk, &running, StopKind::Stop).await?;
    let left = wait_for_end(desk, &running).await?;
    Ok(OrderReport::new(describe(order.job, &running, &left)))
}

fn describe(job: &str, running: &[HeldRun], left: &[HeldRun]) -> String {
    let after =
        format!("the job goes on by its schedule (`leasehold pause {job} --stop` keeps it off)");
    if left.is_empty() {
        let are = pick_verb(running, "is", "are");
        format!("{} {are} stopped; {after}", list_runs(running))
    } else {
        let were = pick_verb(
            left,
            "was asked to stop and has",
            "were asked to stop and have",
        );
        format!(
            "{} {were} not ended within {} s, perhaps in the grace time; {after}",
            list_runs(left),
            PATIENCE.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::tests::run;

    #[test]
    fn stop_reads_with_the_run_and_what_follows() {
        let runs = [run(42)];
        insta::assert_snapshot!(
            describe("ledger", &runs, &[]),
            @"ledger on web1 (token 42) is stopped; the job goes on by its schedule (`leasehold pause ledger --stop` keeps it off)"
        );
        insta::assert_snapshot!(
            describe("ledger", &runs, &runs),
            @"ledger on web1 (token 42) was asked to stop and has not ended within 10 s, perhaps in the grace time; the job goes on by its schedule (`leasehold pause ledger --stop` keeps it off)"
        );
        assert!(describe("ledger", &[run(42), run(43)], &[]).contains("(token 43) are stopped;"));
        insta::assert_snapshot!(
            RunEndOrder { job: "ledger", host: Some("web2") }.nothing_runs(),
            @"ledger does not run on web2; nothing was changed"
        );
    }
}
