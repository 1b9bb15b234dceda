//! `leasehold runs`: the records of runs, newest first.

use std::time::SystemTime;

use clap::Args;
use leasehold_config::wall::UnixMs;
use leasehold_lock::KeyValue;
use leasehold_records::RunRecord;

use crate::age::age;
use crate::config_place::ConfigArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_jobs::unknown_job;
use crate::record_reader::{RecordReader, unread, warn_unreadable};
use crate::show_format::{ShowFormat, print, print_json};
use crate::table::Table;

/// Arguments of `leasehold runs`.
#[derive(Args)]
pub(crate) struct RunsArgs {
    /// Only the runs of this job.
    job: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
    /// Number of runs to show.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: ShowFormat,
}

/// Prints the runs of one job, or of all, newest first.
pub(crate) async fn run(args: RunsArgs) -> Result<Exit, Failure> {
    let reader = RecordReader::open(&args.config.find()?).await?;
    let (job, limit) = (args.job.as_deref(), args.limit);
    let prefix = job.map_or_else(|| reader.root.runs(), |job| reader.root.runs_of(job));
    let kv = reader.locks.kv();
    let fresh = || Newest::new(limit);
    let scan = kv.scan(&prefix, fresh, |newest, kv| newest.take(&kv)).await;
    let unknown = match (job, &scan) {
        (Some(job), Ok(scan)) if scan.found.is_empty() && scan.unreadable.is_empty() => {
            unknown_job(&kv, &reader.root, reader.config.jobs(), job).await
        }
        _ => Ok(None),
    };
    reader.locks.close().await;
    let scan = scan.map_err(|error| unread(&error))?;
    if let Some(failure) = unknown.map_err(|error| unread(&error))? {
        return Err(failure);
    }
    let runs = scan.found.into_runs();
    warn_unreadable(&scan.unreadable);
    match args.format {
        ShowFormat::Json => {
            let known: Result<Vec<_>, _> = runs.iter().map(known_fields).collect();
            print_json(&known.map_err(|error| Failure::internal(&error))?)
        }
        ShowFormat::Table => print(&runs_table(&runs, UnixMs::from_system(SystemTime::now()))),
    }
}

/// The newest of many runs, without keeping all of them.
struct Newest {
    limit: usize,
    runs: Vec<RunRecord>,
}

impl Newest {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            runs: Vec::new(),
        }
    }

    fn take(&mut self, kv: &KeyValue) {
        if let Ok(run) = RunRecord::from_json(&kv.value) {
            self.runs.push(run);
            // Sorting once in a while costs less than keeping them in order.
            if self.runs.len() >= self.limit.saturating_mul(2).max(1000) {
                self.shorten();
            }
        }
    }

    fn shorten(&mut self) {
        self.runs
            .sort_by_key(|run| std::cmp::Reverse((run.token, run.sequence)));
        self.runs.truncate(self.limit);
    }

    const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn into_runs(mut self) -> Vec<RunRecord> {
        self.shorten();
        self.runs
    }
}

/// Returns a run's record without the numbers that are unknown before its end.
fn known_fields(run: &RunRecord) -> Result<serde_json::Value, serde_json::Error> {
    let mut record = serde_json::to_value(run)?;
    if let Some(fields) = record.as_object_mut()
        && run.ended_unix_ms.is_none()
    {
        for unknown in ["calls_admitted", "calls_refused", "peak_memory_bytes"] {
            fields.remove(unknown);
        }
    }
    Ok(record)
}

fn runs_table(runs: &[RunRecord], now: UnixMs) -> String {
    let mut table = Table::new([
        "JOB", "TOKEN", "HOST", "STARTED", "TOOK", "OUTCOME", "LATE", "DETAIL",
    ]);
    for run in runs {
        let took = run
            .ended_unix_ms
            .map_or_else(|| "-".into(), |ended| age(ended.since(run.started_unix_ms)));
        table.row([
            run.job.clone(),
            format!("{}{}", run.token, sequence(run.sequence)),
            run.host.clone(),
            format!("{} ago", age(now.since(run.started_unix_ms))),
            took,
            outcome(run),
            // Calls are counted at a run's end.
            run.ended_unix_ms
                .map_or_else(|| "-".into(), |_| run.calls_refused.to_string()),
            run.detail.clone(),
        ]);
    }
    table.render_or("no runs are recorded\n")
}

/// Returns the outcome; for runs that share a record, with their number.
fn outcome(run: &RunRecord) -> String {
    let outcome = run.outcome.as_str();
    match run.runs() {
        1 => outcome.into(),
        runs => format!("{outcome} x {runs}"),
    }
}

fn sequence(sequence: u32) -> String {
    if sequence == 0 {
        String::new()
    } else {
        format!(".{sequence}")
    }
}

#[cfg(test)]
mod tests {
    use leasehold_lock::Token;

    use super::*;
    use leasehold_records::Outcome;

    fn run(token: u64, outcome: Outcome) -> RunRecord {
        RunRecord {
            job: "ledger".into(),
            host: "host-a".into(),
            lock: "billing/ledger".into(),
            lock_key: "/leasehold/locks/billing/ledger/694d".into(),
            token: Token::new(token),
            sequence: 0,
            run_id: format!("host-a-{token}-0"),
            attempt: 1,
            tick_unix_ms: None,
            plugin_sha256: "00".into(),
            started_unix_ms: UnixMs::new(1_000),
            ended_unix_ms: (outcome != Outcome::Running).then_some(UnixMs::new(63_000)),
            outcome,
            detail: "tricky \u{1b}[31m detail".into(),
            calls_admitted: 5,
            calls_refused: 0,
            peak_memory_bytes: 0,
            output: String::new(),
            output_truncated_bytes: 0,
            merged: None,
            manual: None,
        }
    }

    #[test]
    fn runs_are_a_table_that_no_record_can_break() {
        let runs = [run(1_204, Outcome::Running), run(1_198, Outcome::Lost)];
        insta::assert_snapshot!(runs_table(&runs, UnixMs::new(3_700_000)));
        insta::assert_snapshot!(runs_table(&[], UnixMs::new(0)), @"no runs are recorded");
    }

    #[test]
    fn runs_that_share_a_record_are_a_row_that_counts_them() {
        let many = run(1_198, Outcome::Done).after(&run(1_000, Outcome::Done));
        let table = runs_table(&[many, run(7, Outcome::Exit)], UnixMs::new(3_700_000));
        insta::assert_snapshot!(table, @r"
        JOB     TOKEN  HOST    STARTED    TOOK   OUTCOME   LATE  DETAIL
        ledger  1198   host-a  1h01m ago  1m02s  done x 2  0     tricky �[31m detail
        ledger  7      host-a  1h01m ago  1m02s  exit      0     tricky �[31m detail
        ");
    }
}
