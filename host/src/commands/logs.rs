//! `leasehold logs`: the output of the running and of past runs.
//!
//! - `selection`: recorded runs to show. `kept_files`: their whole output, where a host keeps it.
//! - `shown_runs`: what is printed of them, once. `live`: the output of runs under way.

mod kept_files;
mod live;
mod selection;
mod shown_runs;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use leasehold_follow::{OutputReader, ReadRequest};
use leasehold_lock::StoreError;
use leasehold_records::{RunName, RunRecord};
use tokio::time::{Instant, sleep};

use self::live::{LiveEnd, LiveOutput, LiveSource};
use self::selection::{RunSelection, select};
use self::shown_runs::ShownRuns;
use crate::config_place::ConfigArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_jobs::unknown_job;
use crate::output_printer::{OutputFormat, OutputPrinter};
use crate::record_reader::{RecordReader, is_denied, unread};
use crate::sink;

/// Longest wait for the record of a run that is to be followed, and the time between two readings.
const RECORDED: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `leasehold logs`.
#[derive(Args)]
pub(crate) struct LogsArgs {
    /// The job.
    job: String,
    /// Go on with the job's output as it comes, also of later runs and on other hosts; with --run, until the end of that
    /// run.
    #[arg(short, long)]
    follow: bool,
    /// Only this run: its token, as `leasehold runs` shows it.
    #[arg(long, value_name = "TOKEN", conflicts_with = "last")]
    run: Option<RunName>,
    /// The last N runs, oldest first. [default: 1]
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Only runs on this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Print the time and the stream of each line, where they are known.
    #[arg(short, long)]
    timestamps: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    config: ConfigArg,
}

/// Prints the output of the selected runs, and follows the job if that is requested.
pub(crate) async fn run(args: LogsArgs) -> Result<Exit, Failure> {
    let reader = RecordReader::open(&args.config.find()?).await?;
    let shown = show(&args, &reader).await;
    reader.locks.close().await;
    shown
}

async fn show(args: &LogsArgs, reader: &RecordReader) -> Result<Exit, Failure> {
    let runs = find_runs(args, reader).await?;
    let mut shown = ShownRuns {
        printer: OutputPrinter::new(args.format, args.timestamps),
        notes: args.follow || runs.len() > 1,
        printed: BTreeSet::new(),
        oldest: runs.first().map(RunRecord::key),
        is_read: true,
        host: reader.config.host().id().to_owned(),
        data_dir: reader.config.host().data_dir().to_owned(),
    };
    for run in runs.iter().filter(|run| run.is_over()) {
        shown.record(run)?;
    }
    let end = match (args.follow, args.run) {
        (false, _) => LiveEnd::Now,
        (true, Some(run)) => LiveEnd::Run(run),
        (true, None) => LiveEnd::Signal,
    };
    let source = LiveSource {
        kv: reader.locks.kv(),
        root: &reader.root,
        job: &args.job,
        host: args.host.as_deref(),
    };
    let mut live = LiveOutput::new(source, end, &runs);
    if live.is_over().await? || !shown.is_read {
        return Ok(Exit::Ok);
    }
    let request = ReadRequest {
        job: args.job.clone(),
        host: args.host.clone(),
        run: args.run,
        by: leasehold_tui::operator(),
    };
    match OutputReader::open(reader.locks.clone(), reader.root.clone(), request).await {
        Ok(mut output) => {
            let ended = live.print(&mut output, &mut shown).await;
            output.close().await;
            ended
        }
        Err(error) => refuse(args, &mut shown, &runs, &error),
    }
}

/// Finds the selected runs; a failure where there are none, unless later ones are followed.
async fn find_runs(args: &LogsArgs, reader: &RecordReader) -> Result<Vec<RunRecord>, Failure> {
    let (kv, root) = (reader.locks.kv(), &reader.root);
    let selection = match (&args.run, args.last) {
        (Some(run), _) => RunSelection::Run(*run),
        (None, last) => RunSelection::Last(last.unwrap_or(1)),
    };
    let deadline = Instant::now() + RECORDED;
    loop {
        let runs = select(&kv, root, &args.job, selection, args.host.as_deref()).await;
        let runs = runs.map_err(|error| unread(&error))?;
        if !runs.is_empty() {
            return Ok(runs);
        }
        let configured = reader.config.jobs();
        let unknown = unknown_job(&kv, root, configured, &args.job).await;
        if let Some(failure) = unknown.map_err(|error| unread(&error))? {
            return Err(failure);
        }
        match (args.follow, args.run) {
            (true, None) => return Ok(runs),
            // Its record may be on its way.
            (true, Some(_)) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
            _ => return Err(no_run(args)),
        }
    }
}

fn no_run(args: &LogsArgs) -> Failure {
    let host = args.host.as_ref();
    let host = host.map_or_else(String::new, |host| format!(" on host `{host}`"));
    let message = match args.run {
        Some(run) => format!(
            "no run {run} of job `{}`{host} is recorded\n  = help: leasehold runs {} lists those that are",
            args.job, args.job
        ),
        None => format!("no run of job `{}`{host} is recorded", args.job),
    };
    Failure::new(Exit::Usage, message)
}

/// Shows what is recorded of running runs, for a user who may not request their output.
fn refuse(
    args: &LogsArgs,
    shown: &mut ShownRuns,
    runs: &[RunRecord],
    error: &StoreError,
) -> Result<Exit, Failure> {
    for run in runs.iter().filter(|run| !run.is_over()) {
        shown.record(run)?;
    }
    let why = if is_denied(error) {
        "live output is not available: this user may not write under `follow/`, where readers request it; \
         only what is recorded is shown"
            .to_owned()
    } else {
        format!("live output is not available: {error}")
    };
    if args.follow {
        return Err(Failure::of_line(Exit::Store, &why));
    }
    sink::print_warning(&format!("leasehold: {why}\n"));
    Ok(Exit::Ok)
}
