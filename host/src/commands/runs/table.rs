//! The table of `runs`.

use leasehold_config::wall::UnixMs;
use leasehold_records::wall_text::{ZoneOffset, age, clock};
use leasehold_records::{Outcome, RunRecord};

use crate::look::Look;
use crate::table::{Cell, Column, Table, Tint};

/// Digits of a digest: enough to tell two apart.
const DIGITS: usize = 12;

/// Renders the runs for this look, or returns `none` if there are none.
pub(super) fn render(runs: &[RunRecord], none: &str, now: UnixMs, look: Look) -> String {
    let mut table = Table::new([
        Column::fixed("JOB"),
        Column::fixed("TOKEN").droppable(3),
        Column::fixed("HOST"),
        Column::fixed("STARTED"),
        Column::fixed("TOOK").droppable(1),
        Column::fixed("OUTCOME"),
        Column::fixed("LATE").droppable(5),
        Column::text("TICK", 16).droppable(6),
        Column::fixed("ATTEMPT").droppable(7),
        Column::fixed("PLUGIN").droppable(8),
        Column::fixed("VERSION").droppable(9),
        Column::text("DETAIL", 16).droppable(2),
    ]);
    for run in runs {
        table.row(row(run, now));
    }
    table.render_or(none, look)
}

fn row(run: &RunRecord, now: UnixMs) -> [Cell; 12] {
    let started = run.started_unix_ms;
    let at = clock(started, ZoneOffset::UTC, now);
    let ended = |shown: &dyn Fn(UnixMs) -> String| run.ended_unix_ms.map_or("-".into(), shown);
    let digest = run.plugin_sha256.get(..DIGITS);
    [
        run.job.as_str().into(),
        format!("{}{}", run.token, sequence(run.sequence)).into(),
        run.host.as_str().into(),
        Cell::timed(&format!("{} ago", age(now.since(started))), &at),
        ended(&|ended| age(ended.since(started))).into(),
        outcome(run),
        // Calls are counted at a run's end.
        ended(&|_| run.calls_refused.to_string()).into(),
        run.tick_unix_ms
            .map_or_else(|| "-".into(), |tick| tick.to_string().into()),
        run.attempt.to_string().into(),
        Cell::or_dash(digest.unwrap_or(&run.plugin_sha256)),
        Cell::or_dash(&run.version),
        run.detail.as_str().into(),
    ]
}

/// Returns the outcome; for runs that share a record, with their number.
fn outcome(run: &RunRecord) -> Cell {
    let word = run.outcome.as_str();
    let text = match run.runs() {
        1 => word.into(),
        runs => format!("{word} x {runs}"),
    };
    let tint = match run.outcome {
        failed if failed.is_failure() => Tint::Bad,
        Outcome::Stopped => Tint::Warn,
        Outcome::Running => Tint::Good,
        _ => Tint::Plain,
    };
    Cell::tinted(&text, tint)
}

fn sequence(sequence: u32) -> String {
    if sequence == 0 {
        String::new()
    } else {
        format!(".{sequence}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use leasehold_records::fixtures::run_record;

    pub(in crate::commands::runs) fn run(token: u64, outcome: Outcome) -> RunRecord {
        RunRecord {
            lock: "billing/ledger".into(),
            lock_key: "/leasehold/locks/billing/ledger/694d".into(),
            plugin_sha256: "0123456789abcdef0123456789abcdef".into(),
            version: "0.1.0".into(),
            ended_unix_ms: (outcome != Outcome::Running).then_some(UnixMs::new(63_000)),
            outcome,
            detail: "tricky \u{1b}[31m detail".into(),
            calls_admitted: 5,
            ..run_record("ledger", "host-a", token)
        }
    }

    #[test]
    fn runs_are_a_table_that_no_record_can_break() {
        let late = RunRecord {
            tick_unix_ms: Some(UnixMs::new(600_000)),
            attempt: 2,
            ..run(1_150, Outcome::Exit)
        };
        let runs = [
            run(1_204, Outcome::Running),
            run(1_198, Outcome::Lost),
            late,
        ];
        let now = UnixMs::new(3_700_000);
        insta::assert_snapshot!("runs_piped", render(&runs, "", now, Look::plain()));
        for width in [200, 80, 60] {
            let text = render(&runs, "", now, Look::wide(width));
            assert!(text.lines().all(|line| line.chars().count() <= width));
            insta::assert_snapshot!(format!("runs_{width}"), text);
        }
        insta::assert_snapshot!(render(&[], "none\n", now, Look::plain()), @"none");
    }

    #[test]
    fn runs_that_share_a_record_are_a_row_that_counts_them() {
        let many = run(1_198, Outcome::Done).after(&run(1_000, Outcome::Done));
        let runs = [many, run(7, Outcome::Exit)];
        let table = render(&runs, "", UnixMs::new(3_700_000), Look::wide(90));
        insta::assert_snapshot!(table);
    }
}
