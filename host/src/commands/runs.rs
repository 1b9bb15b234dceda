//! `leasehold runs`: the records of runs, newest first.
//!
//! - `filter`: the runs to show, and the newest of them. `table`: the table for people.

mod filter;
mod table;

use std::time::{Duration, SystemTime};

use clap::Args;
use leasehold_config::wall::UnixMs;
use leasehold_records::RunRecord;

use crate::config_place::ConfigArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_hosts::unknown_host;
use crate::known_jobs::unknown_job;
use crate::look::Look;
use crate::record_reader::{RecordReader, unread, warn_unreadable};
use crate::show_format::{ShowFormat, print_json, print_rendered};
use filter::{NewestRuns, RunFilter};

/// Arguments of `leasehold runs`.
#[derive(Args)]
pub(crate) struct RunsArgs {
    /// Only the runs of this job.
    job: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
    /// Number of runs to show.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only the runs of this job, as the argument.
    #[arg(long = "job", value_name = "JOB", conflicts_with = "job")]
    only: Option<String>,
    /// Only the runs on this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only runs that failed.
    #[arg(long)]
    failed: bool,
    /// Only runs that started within this time, as in 24h or 7d.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: ShowFormat,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "write a number and a unit, as in 30m, 24h or 7d".into())
}

/// Prints the runs of one job, or of all, newest first.
pub(crate) async fn run(args: RunsArgs) -> Result<Exit, Failure> {
    let reader = RecordReader::open(&args.config.find()?).await?;
    let runs = read(&reader, &args).await;
    reader.locks.close().await;
    let runs = runs?;
    match args.format {
        ShowFormat::Json => {
            let known: Result<Vec<_>, _> = runs.iter().map(known_fields).collect();
            print_json(&known.map_err(|error| Failure::internal(&error))?)
        }
        ShowFormat::Table => {
            let now = UnixMs::from_system(SystemTime::now());
            let none = if args.host.is_some() || args.failed || args.since.is_some() {
                "no recorded run matches\n"
            } else {
                "no runs are recorded\n"
            };
            print_rendered(&table::render(&runs, none, now, Look::of_stdout()))
        }
    }
}

/// Reads the runs to show; an error for a job or a host that nothing knows.
async fn read(reader: &RecordReader, args: &RunsArgs) -> Result<Vec<RunRecord>, Failure> {
    let job = args.job.as_deref().or(args.only.as_deref());
    let prefix = job.map_or_else(|| reader.root.runs(), |job| reader.root.runs_of(job));
    let kv = reader.locks.kv();
    let now = UnixMs::from_system(SystemTime::now());
    let filter = RunFilter {
        host: args.host.clone(),
        is_failure: args.failed,
        since: args.since.map(|since| now.before(since)),
    };
    let fresh = || NewestRuns::new(args.limit, filter.clone());
    let scan = kv.scan(&prefix, fresh, |newest, kv| newest.take(&kv)).await;
    let scan = scan.map_err(|error| unread(&error))?;
    if let Some(job) = job
        && !scan.found.has_seen_any()
        && scan.unreadable.is_empty()
    {
        let unknown = unknown_job(&kv, &reader.root, reader.config.jobs(), job).await;
        if let Some(failure) = unknown.map_err(|error| unread(&error))? {
            return Err(failure);
        }
    }
    if let Some(host) = &args.host
        && !scan.found.hosts().contains(host)
    {
        let unknown = unknown_host(&kv, &reader.root, host).await;
        if let Some(failure) = unknown.map_err(|error| unread(&error))? {
            return Err(failure);
        }
    }
    warn_unreadable(&scan.unreadable);
    Ok(scan.found.into_runs())
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
