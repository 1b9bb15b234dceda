//! `leasehold logs`: the output of the running and of past runs.
//!
//! - `selection`: recorded runs to show. `kept_files`: their whole output, where a host keeps it.

mod kept_files;
mod selection;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use leasehold_follow::{OutputItem, OutputReader, ReadRequest};
use leasehold_lock::StoreError;
use leasehold_records::{RunKey, RunRecord};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use self::selection::{RunName, RunSelection, select};
use crate::config_place::ConfigArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_jobs::unknown_job;
use crate::output_printer::{OutputFormat, OutputPrinter};
use crate::record_reader::{RecordReader, is_denied, unread};
use crate::sink;

/// Longest wait for the host of a running run to send what it has.
const ANSWER: Duration = Duration::from_secs(5);

/// Arguments of `leasehold logs`.
#[derive(Args)]
pub(crate) struct LogsArgs {
    /// The job.
    job: String,
    /// Go on with the job's output as it comes, also of later runs and on other hosts.
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
    let (kv, root) = (reader.locks.kv(), &reader.root);
    let selection = match (&args.run, args.last) {
        (Some(run), _) => RunSelection::Run(*run),
        (None, last) => RunSelection::Last(last.unwrap_or(1)),
    };
    let runs = select(&kv, root, &args.job, selection, args.host.as_deref()).await;
    let runs = runs.map_err(|error| unread(&error))?;
    if runs.is_empty() {
        let configured = reader.config.jobs();
        let unknown = unknown_job(&kv, root, configured, &args.job).await;
        if let Some(failure) = unknown.map_err(|error| unread(&error))? {
            return Err(failure);
        }
        if !args.follow {
            return Err(no_run(args));
        }
    }
    let mut output = LogsOutput {
        printer: OutputPrinter::new(args.format, args.timestamps),
        notes: args.follow || runs.len() > 1,
        printed: BTreeSet::new(),
        is_read: true,
        host: reader.config.host().id().to_owned(),
        data_dir: reader.config.host().data_dir().to_owned(),
    };
    for run in runs.iter().filter(|run| run.is_over()) {
        output.record(run)?;
    }
    let running: Vec<&RunRecord> = runs.iter().filter(|run| !run.is_over()).collect();
    if !args.follow && running.is_empty() || !output.is_read {
        return Ok(Exit::Ok);
    }
    let request = ReadRequest {
        job: args.job.clone(),
        host: args.host.clone(),
        token: args.run.map(|run| run.token),
        by: leasehold_tui::operator(),
    };
    match OutputReader::open(reader.locks.clone(), root.clone(), request).await {
        Ok(mut live) => {
            let ended = if args.follow {
                follow(&mut live, &mut output, args.run.is_some()).await
            } else {
                catch_up(&mut live, &mut output, &running).await
            };
            live.close().await;
            ended
        }
        Err(error) => refuse(args, &mut output, &running, &error),
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
    output: &mut LogsOutput,
    running: &[&RunRecord],
    error: &StoreError,
) -> Result<Exit, Failure> {
    for run in running {
        output.record(run)?;
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

/// Where output is printed, and the runs that were.
struct LogsOutput {
    printer: OutputPrinter,
    /// True if runs are told apart by notes.
    notes: bool,
    printed: BTreeSet<RunKey>,
    /// False once the reader of standard output has gone.
    is_read: bool,
    /// The host whose files are on this machine, and the directory of its files.
    host: String,
    data_dir: PathBuf,
}

impl LogsOutput {
    fn record(&mut self, run: &RunRecord) -> Result<(), Failure> {
        let is_cut = run.output_truncated_bytes > 0;
        let is_whole = is_cut && self.print_kept(run);
        if !is_whole {
            if is_cut && !run.output_kept_in.is_empty() {
                sink::print_warning(&format!(
                    "leasehold: host {} keeps all output of this job in {}\n",
                    run.host, run.output_kept_in
                ));
            }
            let printed = self.printer.print_record(run, self.notes);
            self.is_read &= printed.map_err(|error| Failure::internal(&error))?;
        }
        if run.is_over() {
            self.printed.insert(key_of(run));
        }
        Ok(())
    }

    /// Prints a run from the files of a host on this machine. Returns false if they do not have it.
    fn print_kept(&mut self, run: &RunRecord) -> bool {
        let Some(folder) = kept_files::folder_of(run, &self.host, &self.data_dir) else {
            return false;
        };
        let printed = self.printer.print_kept(run, self.notes, |each| {
            kept_files::read_lines(&folder, &key_of(run), each)
        });
        match printed {
            Ok((0, _)) => false,
            Ok((_, is_read)) => {
                self.is_read &= is_read;
                sink::print_warning(&format!("leasehold: read from {}\n", folder.display()));
                true
            }
            Err(error) => {
                sink::print_warning(&format!(
                    "leasehold: cannot read {}: {error}\n",
                    folder.display()
                ));
                false
            }
        }
    }

    fn item(&mut self, item: &OutputItem) -> Result<(), Failure> {
        let run = match item {
            OutputItem::Began(head) | OutputItem::Ended(head, _) | OutputItem::Silent(head) => {
                Some(&head.key)
            }
            OutputItem::Line { run, .. } | OutputItem::Gap { run, .. } => Some(run),
            OutputItem::CaughtUp(_) | OutputItem::Down { .. } | OutputItem::Up => None,
        };
        if run.is_some_and(|run| self.printed.contains(run)) {
            return Ok(());
        }
        let is_note = matches!(item, OutputItem::Began(_) | OutputItem::Ended(..));
        if is_note && !self.notes {
            self.printer.skip(item);
            return Ok(());
        }
        let printed = self.printer.print(item);
        self.is_read &= printed.map_err(|error| Failure::internal(&error))?;
        Ok(())
    }
}

fn key_of(run: &RunRecord) -> RunKey {
    RunKey {
        job: run.job.clone(),
        token: run.token,
        sequence: run.sequence,
    }
}

/// Prints output as it comes, until a signal, the end of standard output's reader, or the end of the `only` run.
async fn follow(
    live: &mut OutputReader,
    output: &mut LogsOutput,
    only: bool,
) -> Result<Exit, Failure> {
    let terminate = signal(SignalKind::terminate());
    let mut terminate = terminate.map_err(|error| Failure::internal(&error))?;
    let interrupt = signal(SignalKind::interrupt());
    let mut interrupt = interrupt.map_err(|error| Failure::internal(&error))?;
    while output.is_read {
        let item = tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            item = live.next() => item,
        };
        let Some(item) = item else {
            break;
        };
        output.item(&item)?;
        if only && matches!(item, OutputItem::Ended(..)) {
            break;
        }
    }
    Ok(Exit::Ok)
}

/// Prints what the hosts of running runs have by now.
async fn catch_up(
    live: &mut OutputReader,
    output: &mut LogsOutput,
    running: &[&RunRecord],
) -> Result<Exit, Failure> {
    let deadline = Instant::now() + ANSWER;
    let mut missing: BTreeSet<RunKey> = running.iter().map(|run| key_of(run)).collect();
    let mut answered = BTreeSet::new();
    while !missing.is_empty() && output.is_read {
        let Ok(Some(item)) = timeout_at(deadline, live.next()).await else {
            break;
        };
        output.item(&item)?;
        match &item {
            OutputItem::CaughtUp(run) => drop(missing.remove(run)),
            OutputItem::Ended(head, _) => drop(missing.remove(&head.key)),
            OutputItem::Began(head) => drop(answered.insert(head.key.clone())),
            _ => {}
        }
    }
    for run in running
        .iter()
        .filter(|run| !answered.contains(&key_of(run)))
    {
        sink::print_warning(&format!(
            "leasehold: host {} did not send the output of run {} within {} s: it has stopped, cannot reach the \
             store, or is of an earlier version\n",
            run.host,
            run.token,
            ANSWER.as_secs()
        ));
        if !run.output.is_empty() {
            output.record(run)?;
        }
    }
    Ok(Exit::Ok)
}
