//! Summary of the runs of a `leasehold dev`, as one table, taken from the records alone.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_lock::{KeyValue, Token};
use leasehold_records::RunRecord;

use crate::look::Look;
use crate::table::{Column, Table};

/// Renders the table, one line a job; empty if nothing ran.
pub(super) fn of(records: &[KeyValue], look: Look) -> String {
    let runs = records
        .iter()
        .filter_map(|kv| RunRecord::from_json(&kv.value).ok());
    table(runs.collect(), look)
}

fn table(mut runs: Vec<RunRecord>, look: Look) -> String {
    runs.sort_by_key(|run| (run.token, run.sequence));
    let mut jobs: BTreeMap<&str, Vec<&RunRecord>> = BTreeMap::new();
    for run in &runs {
        jobs.entry(&run.job).or_default().push(run);
    }
    let mut table = Table::new([
        Column::fixed("JOB"),
        Column::fixed("RUNS"),
        Column::text("HOSTS", 12),
        Column::fixed("TOKENS").droppable(1),
        Column::text("ENDED", 16),
        Column::text("LAST", 12).droppable(2),
    ]);
    for (job, runs) in jobs {
        let hosts: BTreeSet<&str> = runs.iter().map(|run| run.host.as_str()).collect();
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        for run in &runs {
            *outcomes.entry(run.outcome.as_str()).or_default() += run.runs();
        }
        let outcomes: Vec<String> = outcomes
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
            continue;
        };
        table.row([
            job.into(),
            runs.iter()
                .map(|run| run.runs())
                .sum::<u64>()
                .to_string()
                .into(),
            hosts.into_iter().collect::<Vec<_>>().join(" ").into(),
            format!("{} to {}", first_token(first), last.token).into(),
            outcomes.join(", ").into(),
            last.detail.as_str().into(),
        ]);
    }
    table.render_or("", look)
}

/// Token of the first run in a record.
fn first_token(run: &RunRecord) -> Token {
    run.merged.map_or(run.token, |merged| merged.first_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_records::fixtures::run_record;
    use leasehold_records::{Outcome, UnixMs};

    #[test]
    fn a_job_is_one_line_whoever_ran_it() {
        let run = |host: &str, token, outcome, detail: &str| RunRecord {
            lock: "demo/ledger".into(),
            ended_unix_ms: Some(UnixMs::new(2_000)),
            outcome,
            detail: detail.into(),
            ..run_record("ledger", host, token)
        };
        let runs = vec![
            run("dev-2", 31, Outcome::Done, "9 transfers, total 8000"),
            run("dev-1", 7, Outcome::Abandoned, ""),
        ];
        insta::assert_snapshot!(table(runs, Look::plain()), @r"
        JOB     RUNS  HOSTS        TOKENS   ENDED                LAST
        ledger  2     dev-1 dev-2  7 to 31  1 abandoned, 1 done  9 transfers, total 8000
        ");
        assert_eq!(table(Vec::new(), Look::plain()), "");
    }
}
