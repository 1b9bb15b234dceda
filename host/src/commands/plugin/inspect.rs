//! `leasehold plugin inspect`: a plugin's form, imports, needs and manifest, and whether it could
//! run here.
//!
//! Nothing is run, and nothing is compiled without --compile.

mod facts;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::commands::plugin::lookup::{config_for, job_of};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::LoadProgress;
use facts::PluginFacts;
use leasehold_config::limits::Limits;
use leasehold_config::plugin_file::PluginFile;
use leasehold_config::{Config, JobSource};
use leasehold_runtime::{Grants, Preparing, inspect as look};
use leasehold_supervisor::prepare::{cache_dir, runtime_for};

/// Most bytes of a plugin that are read if no limit is known.
const LARGEST: u64 = 1024 * leasehold_config::limits::MIB;

/// Arguments of `leasehold plugin inspect`.
#[derive(clap::Args)]
pub(crate) struct InspectArgs {
    /// The plugin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Configuration with the grants and the plugin folder to apply. [default: leasehold.toml, if
    /// it exists]
    #[arg(short, long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Job of the configuration that the plugin is for. Without it, the plugin is judged as a
    /// dropped-in one.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Compile it, and show whether it was in the cache and how long that took.
    #[arg(long)]
    compile: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: InspectFormat,
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InspectFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// Runs the command. A plugin that cannot run is printed in full, and the exit code is that of a
/// refusal.
pub(crate) async fn run(args: InspectArgs) -> Result<Exit, Failure> {
    let config = config_for(args.config.as_deref())?;
    let found = PluginFile::read(&args.file, LARGEST)
        .map_err(|why| Failure::new(Exit::Plugin, format!("plugin {why}")))?;
    let drop_in = match found.drop_in() {
        Ok(drop_in) => config
            .dropped(&drop_in)
            .map_err(|report| report.to_string()),
        Err(why) => Err(format!("error: the plugin {why}")),
    };
    let job = match &args.job {
        Some(name) => Some(job_of(&config, name)?),
        None => drop_in.as_ref().ok().cloned(),
    };
    let (source, grants, limits) = if let Some(job) = &job {
        (job.source(), job.allow().clone(), job.limits().clone())
    } else {
        let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
        let source = JobSource::dropped(&stem, &args.file);
        (source, Grants::default(), Limits::default())
    };
    let bytes = Arc::from(found.bytes.as_slice());
    let progress = LoadProgress::of(1);
    progress.reading(&args.file);
    let children = Preparing::in_children();
    let look = look(children, bytes, source.job(), &grants, &limits).await;
    progress.finish();
    let cache = if args.compile {
        compiled(&config, &args.file, &source, &limits, &grants).await
    } else {
        not_compiled(&config)
    };
    let facts = PluginFacts {
        found: &found,
        source,
        limits,
        is_configured: args.job.is_some(),
        look,
        drop_in,
        cache,
    };
    let text = match args.format {
        InspectFormat::Text => facts.text(),
        InspectFormat::Json => facts.json(),
    };
    let _ = crate::sink::print(&text);
    Ok(if facts.can_run() {
        Exit::Ok
    } else {
        Exit::Plugin
    })
}

fn not_compiled(config: &Config) -> String {
    let dir = cache_dir(config.host().data_dir());
    let is_empty = match std::fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_empty {
        format!("not in the cache: {} is empty", dir.display())
    } else {
        "not looked up; --compile does".to_owned()
    }
}

async fn compiled(
    config: &Config,
    file: &Path,
    job: &JobSource,
    limits: &Limits,
    grants: &Grants,
) -> String {
    let runtime = match runtime_for(config).await {
        Ok(runtime) => runtime,
        Err(error) => return format!("cannot be used: {error}"),
    };
    let progress = LoadProgress::of(1);
    runtime.observe_loads(progress.observer(None));
    let began = Instant::now();
    let loaded = runtime.load(job, file, None, limits, grants).await;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    progress.finish();
    match loaded {
        Ok(_) if runtime.cache_hits() > 0 => format!("was in the cache: loaded in {took:.1} ms"),
        Ok(_) => format!("was not in the cache: compiled in {took:.1} ms, and is in it now"),
        Err(error) => format!("not compiled: {}", error.problem.for_source(&error.job)),
    }
}
