//! `leasehold check`: does everything that `run` does before it starts, starts nothing, and prints
//! the result.
//!
//! - `table`: the values of each job and their origins
//! - `diff`: changes that a reload would make to the host that runs with this file
//!
//! If anything is refused, all refusals are printed, and nothing else.

mod diff;
mod table;

use std::path::{Path, PathBuf};

use leasehold_records::printable;

use crate::config_reader::read_config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::LoadProgress;
use leasehold_config::plugin_file::{PluginFile, list};
use leasehold_config::{Config, Job};
use leasehold_runtime::Plugin;
use leasehold_supervisor::applied::{Applied, JobInForce};
use leasehold_supervisor::prepare::{PrepareError, cache_dir, load_all, runtime_for};

/// Arguments of `leasehold check`.
#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration: a file, or a folder whose .toml files are read as one.
    #[arg(value_name = "FILE", default_value = "leasehold.toml")]
    file: PathBuf,
    /// Show every value, also those that no file sets.
    #[arg(long)]
    all: bool,
    /// Show what a reload would do to the host that runs with this file, and nothing else.
    ///
    /// A running host writes down in its `data_dir` what it has applied; that is compared with the
    /// files as they are now.
    #[arg(long, conflicts_with = "all")]
    diff: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: CheckFormat,
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CheckFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// A job that is ready to run.
pub(crate) struct Ready {
    pub(crate) job: Job,
    pub(crate) plugin: Plugin,
}

/// Runs the command.
pub(crate) async fn run(args: CheckArgs) -> Result<Exit, Failure> {
    let file = args.file.clone();
    let config = read_config(move || Config::load(&file)).await?;
    let (config, jobs) = check(config).await?;
    let text = if args.diff {
        let standing: Vec<JobInForce<'_>> = jobs.iter().map(JobInForce::from).collect();
        let applied = Applied::read(&config);
        match args.format {
            CheckFormat::Text => diff::text(&applied, &config, &standing),
            CheckFormat::Json => diff::json(&applied, &config, &standing),
        }
    } else {
        match args.format {
            CheckFormat::Text => {
                let tables = table::text(&jobs, args.all);
                let cache = cache_line(&config, jobs.len());
                format!("{tables}{cache}{}", last_line(&args.file, jobs.len()))
            }
            CheckFormat::Json => table::json(&args.file, &cache_of(&config), &jobs, args.all),
        }
    };
    let _ = crate::sink::print(&text);
    Ok(Exit::Ok)
}

/// Returns the directory of the compile cache, in full.
fn cache_of(config: &Config) -> PathBuf {
    let dir = cache_dir(config.host().data_dir());
    std::path::absolute(&dir).unwrap_or(dir)
}

fn cache_line(config: &Config, jobs: usize) -> String {
    if jobs == 0 {
        return String::new();
    }
    format!("compile cache: {}\n", cache_of(config).display())
}

fn last_line(file: &Path, jobs: usize) -> String {
    let many = if jobs == 1 { "job is" } else { "jobs are" };
    format!("{}: {jobs} {many} ready to run\n", file.display())
}

impl<'a> From<&'a Ready> for JobInForce<'a> {
    fn from(ready: &'a Ready) -> Self {
        Self {
            job: &ready.job,
            sha256: &ready.plugin.facts().sha256,
        }
    }
}

/// Loads every job of the configuration and of its folder, or returns every refusal.
async fn check(config: Config) -> Result<(Config, Vec<Ready>), Failure> {
    let runtime = runtime_for(&config).await.map_err(PrepareError::Runtime)?;
    let mut refused = Vec::new();
    let files = files(&config, &mut refused);
    let found: Vec<Result<Job, String>> = files.iter().map(|path| drop_in(&config, path)).collect();
    let wanted: Vec<&Job> = (config.jobs().iter())
        .chain(found.iter().filter_map(|found| found.as_ref().ok()))
        .collect();
    let progress = LoadProgress::of(wanted.len());
    runtime.observe_loads(progress.observer(None));
    let mut loads = load_all(&runtime, wanted).await.into_iter();
    progress.finish();
    let mut take = |job: &Job, into: &mut Vec<Ready>| match loads.next() {
        Some(Ok(loaded)) => into.push(Ready {
            job: job.clone(),
            plugin: loaded.plugin,
        }),
        Some(Err(error)) => refused.push(format!("error: {error}")),
        // There is a result for each job.
        None => {}
    };
    let (mut jobs, mut dropped) = (Vec::new(), Vec::new());
    for job in config.jobs() {
        take(job, &mut jobs);
    }
    let mut unread = Vec::new();
    for found in &found {
        match found {
            Ok(job) => take(job, &mut dropped),
            Err(refusal) => unread.push(refusal.clone()),
        }
    }
    refused.append(&mut unread);
    let names = dropped.iter().map(|ready| ready.job.clone());
    let (whole, clashes) = config.with_dropped(names);
    refused.extend(clashes.iter().map(|clash| format!("error: {clash}")));
    if !refused.is_empty() {
        let many = if refused.len() == 1 {
            "plugin was"
        } else {
            "plugins were"
        };
        let count = refused.len();
        let message = format!(
            "{}\n{count} {many} refused; nothing was started",
            refused.join("\n")
        );
        return Err(Failure::new(Exit::Plugin, message));
    }
    jobs.append(&mut dropped);
    jobs.sort_by(|a, b| a.job.name().cmp(b.job.name()));
    Ok((whole, jobs))
}

fn files(config: &Config, refused: &mut Vec<String>) -> Vec<PathBuf> {
    let Some(plugins) = config.plugins() else {
        return Vec::new();
    };
    list(plugins.dir()).unwrap_or_else(|error| {
        refused.push(format!("error: {error}"));
        Vec::new()
    })
}

/// Builds the job of a file in the folder, or returns everything that is wrong with it.
fn drop_in(config: &Config, path: &Path) -> Result<Job, String> {
    let most = config
        .plugins()
        .map_or(0, |plugins| plugins.limits().plugin_bytes);
    let found = PluginFile::read_dropped(path, most)
        .map_err(|why| format!("error: plugin {}", printable::line(&why.to_string())))?;
    let drop_in = found
        .drop_in()
        .map_err(|why| printable::line(&format!("error: plugin {} {why}", path.display())))?;
    config
        .dropped(&drop_in)
        .map_err(|report| report.to_string())
}
