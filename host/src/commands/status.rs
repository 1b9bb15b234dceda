//! `leasehold status`: hosts, jobs, ticks and locks as they are now.
//!
//! - `selection`: the jobs and hosts to show. `table`: tables for people. `odd_ones`: hosts that differ from others.

mod odd_ones;
mod selection;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use clap::Args;
use leasehold_config::wall::UnixMs;
use leasehold_lock::{Revision, StoreError};
use leasehold_records::explain::{Explanation, explain};
use leasehold_records::{HostRecord, JobRecord, Outcome, TickRecord};
use serde::Serialize;

use crate::absent_host::AbsentHost;
use crate::config_place::ConfigArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::look::Look;
use crate::recent_runs::{has_failed, read_recent};
use crate::record_reader::{RecordReader, is_denied, unread};
use crate::show_format::{ShowFormat, print_json, print_rendered};
use crate::store_reading::{LockStatus, StoreReading};
use selection::Selection;

/// Arguments of `leasehold status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this job. May be given several times.
    #[arg(long, value_name = "JOB")]
    job: Vec<String>,
    /// Only this host, and the jobs on it.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only jobs whose last run failed, or that failed for good.
    #[arg(long)]
    failed: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: ShowFormat,
}

/// Output of `status`, in its JSON form.
#[derive(Serialize)]
struct Status {
    /// Revision of the locks.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    hosts: Vec<HostRecord>,
    /// Drained hosts that do not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    absent: Vec<AbsentHost>,
    jobs: Vec<JobRecord>,
    /// The latest tick that any host has begun, of each job with ticks.
    ticks: Vec<TickRecord>,
    locks: Vec<LockStatus>,
    /// Outcomes of the last runs of each job, the newest last.
    recent: BTreeMap<String, Vec<Outcome>>,
    /// Reasons for which each job runs or does not.
    explanations: Vec<Explanation>,
    /// Prefixes that this user of the store may not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_permitted: Vec<String>,
}

/// Prints hosts, jobs and locks as they are now.
pub(crate) async fn run(args: StatusArgs) -> Result<Exit, Failure> {
    let reader = RecordReader::open(&args.config.find()?).await?;
    let status = read(&reader, &args).await;
    reader.locks.close().await;
    let (reading, status) = status?;
    reading.warn_not_permitted();
    match args.format {
        ShowFormat::Json => print_json(&status),
        ShowFormat::Table => {
            let now = UnixMs::from_system(SystemTime::now());
            print_rendered(&table::render(&status, now, Look::of_stdout()))
        }
    }
}

/// Reads the store, and selects what to show of it.
async fn read(reader: &RecordReader, args: &StatusArgs) -> Result<(StoreReading, Status), Failure> {
    let mut reading = StoreReading::read(reader)
        .await
        .map_err(|error| unread(&error))?;
    let host = args.host.as_deref();
    reading.refuse_unknown(reader, &args.job, host).await?;
    let mut jobs = reading.job_names();
    // A configured job without a host is shown too.
    jobs.extend(reader.config.jobs().iter().cloned());
    let mut selection = Selection {
        jobs: if args.job.is_empty() {
            jobs
        } else {
            args.job.iter().cloned().collect()
        },
        host: args.host.clone(),
        is_whole: args.job.is_empty() && args.host.is_none() && !args.failed,
    };
    selection.keep_jobs_of_host(&reading.jobs);
    let recent = recent(reader, &mut reading, &selection.jobs).await?;
    if args.failed {
        let failed_for_good = selection.failed_for_good(&reading.jobs);
        selection.jobs.retain(|job| {
            failed_for_good.contains(job)
                || recent.get(job).is_some_and(|outcomes| has_failed(outcomes))
        });
    }
    let now = UnixMs::from_system(SystemTime::now());
    let status = build(&reading, &selection, recent, now);
    Ok((reading, status))
}

/// Reads the last outcomes of these jobs; none where this user may not read runs.
async fn recent(
    reader: &RecordReader,
    reading: &mut StoreReading,
    jobs: &BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<Outcome>>, Failure> {
    let kv = reader.locks.kv();
    let read = read_recent(&kv, &reader.root, jobs.iter().cloned()).await;
    match read {
        Err(StoreError::Refused { .. }) if read.as_ref().is_err_and(is_denied) => {
            reading.not_permitted.push(reader.root.runs());
            Ok(BTreeMap::new())
        }
        read => read.map_err(|error| unread(&error)),
    }
}

/// Puts together what is shown.
fn build(
    reading: &StoreReading,
    selection: &Selection,
    recent: BTreeMap<String, Vec<Outcome>>,
    now: UnixMs,
) -> Status {
    let facts = reading.facts();
    let explanations = selection.jobs.iter().map(|job| explain(&facts, job, now));
    let recent = recent.into_iter();
    Status {
        revision: reading.revision,
        hosts: selection.hosts(&reading.hosts),
        absent: selection.absent(reading.absent_hosts()),
        jobs: selection.records(&reading.jobs),
        ticks: selection.ticks(&reading.ticks),
        locks: selection.locks(&reading.locks),
        recent: recent
            .filter(|(job, outcomes)| selection.jobs.contains(job) && !outcomes.is_empty())
            .collect(),
        explanations: explanations.collect(),
        not_permitted: reading.not_permitted.clone(),
    }
}
