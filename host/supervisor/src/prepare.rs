//! Preparation of `run`: every check before the start.

use std::path::Path;
use std::sync::Arc;

use leasehold_config::fingerprint::{ConfigFingerprint, Fingerprint};
use leasehold_config::secrets::Secrets;
use leasehold_config::{Config, Job};
use leasehold_runtime::{
    LoadError, LoadProblem, Plugin, Preparing, Runtime, RuntimeError, RuntimeOptions,
};

/// Result of the preparation.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// The runtime that has loaded the plugins.
    pub runtime: Arc<Runtime>,
    /// The configuration's files, as they were before they were read.
    pub config_fingerprint: Option<ConfigFingerprint>,
    /// The plugin of each job, in the order of the jobs.
    pub plugins: Vec<Loaded>,
}

/// A plugin, and its file as it was before it was read.
pub struct Loaded {
    /// The plugin.
    pub plugin: Plugin,
    /// Its file's stamp.
    pub fingerprint: Option<Fingerprint>,
}

/// Reason that nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The runtime for guests cannot be set up.
    #[error("the runtime for guests cannot be set up: {0}")]
    Runtime(#[from] RuntimeError),
    /// Plugins were refused.
    #[error("{}", plugin_errors(.0))]
    Plugins(Vec<LoadError>),
}

fn plugin_errors(errors: &[LoadError]) -> String {
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("error: {error}"))
        .collect();
    let many = if errors.len() == 1 {
        "plugin was"
    } else {
        "plugins were"
    };
    format!(
        "{}\n{} {many} refused; nothing was started",
        lines.join("\n"),
        errors.len()
    )
}

/// Loads and checks every plugin. All refusals are reported, not only the first.
///
/// `config_fingerprint` is the state of the configuration's files before they were read.
pub async fn prepare(
    config: Config,
    config_fingerprint: Option<ConfigFingerprint>,
) -> Result<Prepared, PrepareError> {
    let runtime = Arc::new(runtime_for(&config)?);
    let mut plugins = Vec::new();
    let mut refused = Vec::new();
    for job in config.jobs() {
        let fingerprint = Fingerprint::of(job.plugin());
        match load(&runtime, job).await {
            Ok(plugin) => plugins.push(Loaded {
                plugin,
                fingerprint,
            }),
            Err(error) => refused.push(error),
        }
    }
    if !refused.is_empty() {
        return Err(PrepareError::Plugins(refused));
    }
    Ok(Prepared {
        config,
        runtime,
        config_fingerprint,
        plugins,
    })
}

/// Creates the runtime of a host with this configuration.
pub fn runtime_for(config: &Config) -> Result<Runtime, RuntimeError> {
    runtime_at(config, config.host().data_dir())
}

/// Creates the runtime with the compile cache of the host whose data is in `data_dir`.
pub fn runtime_at(config: &Config, data_dir: &Path) -> Result<Runtime, RuntimeError> {
    Runtime::new(&RuntimeOptions {
        cache_dir: Some(data_dir.join("compiled")),
        max_runs: config.host().max_runs(),
        preparing: Preparing::in_children(),
        ..RuntimeOptions::default()
    })
}

/// Loads the plugin of a job from its file.
pub async fn load(runtime: &Runtime, job: &Job) -> Result<Plugin, LoadError> {
    let pinned = job.sha256().copied();
    let plugin = runtime
        .load(
            &job.source(),
            job.plugin(),
            pinned,
            job.limits(),
            job.allow(),
        )
        .await?;
    check_secrets(job).await?;
    Ok(plugin)
}

/// Checks that every secret can be read, so that a fault is reported before the start; each run
/// reads them anew.
async fn check_secrets(job: &Job) -> Result<(), LoadError> {
    let references = job.secrets().clone();
    let read = tokio::task::spawn_blocking(move || Secrets::read(&references));
    let problem = match read.await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => LoadProblem::Secret(error.to_string()),
        Err(error) => LoadProblem::Host(error.to_string()),
    };
    Err(LoadError {
        job: job.source(),
        path: job.plugin().to_owned(),
        problem,
    })
}

/// Loads the plugin of a job from bytes that were read from its file.
pub async fn load_bytes(
    runtime: &Runtime,
    job: &Job,
    bytes: Arc<[u8]>,
) -> Result<Plugin, LoadError> {
    let pinned = job.sha256().copied();
    let (source, path) = (job.source(), job.plugin());
    let plugin = runtime
        .load_bytes(&source, path, bytes, pinned, job.limits(), job.allow())
        .await?;
    check_secrets(job).await?;
    Ok(plugin)
}
