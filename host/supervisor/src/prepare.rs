//! Preparation of `run`: every check before the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use leasehold_config::fingerprint::{ConfigFingerprint, Fingerprint};
use leasehold_config::secrets::Secrets;
use leasehold_config::{Config, Job};
use leasehold_runtime::{
    LoadError, LoadObserver, LoadProblem, Plugin, Preparing, Runtime, RuntimeError, RuntimeOptions,
};

/// Plugins that are loaded at the same time; the runtime itself compiles fewer.
const LOADS: usize = 4;

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

/// Loads and checks every plugin, several at a time. All refusals are reported, not only the first. `observer` receives
/// the steps of the loads. Dropping the future ends the processes that compile.
///
/// `config_fingerprint` is the state of the configuration's files before they were read.
pub async fn prepare(
    config: Config,
    config_fingerprint: Option<ConfigFingerprint>,
    observer: Arc<dyn LoadObserver>,
) -> Result<Prepared, PrepareError> {
    let runtime = Arc::new(runtime_for(&config).await?);
    runtime.observe_loads(observer);
    let mut plugins = Vec::new();
    let mut refused = Vec::new();
    for loaded in load_all(&runtime, config.jobs()).await {
        match loaded {
            Ok(loaded) => plugins.push(loaded),
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

/// Loads the plugins of these jobs, several at a time and small ones first. The results are in the order of the jobs.
pub async fn load_all<'a>(
    runtime: &Runtime,
    jobs: impl IntoIterator<Item = &'a Job>,
) -> Vec<Result<Loaded, LoadError>> {
    let mut jobs: Vec<_> = jobs
        .into_iter()
        .map(|job| (job, Fingerprint::of(job.plugin())))
        .enumerate()
        .collect();
    jobs.sort_by_key(|(_, (_, fingerprint))| fingerprint.map(|found| found.size_bytes()));
    let loads: Vec<_> = jobs
        .into_iter()
        .map(|(at, (job, fingerprint))| load_one(runtime, at, job, fingerprint))
        .collect();
    let mut loaded: Vec<_> = stream::iter(loads).buffer_unordered(LOADS).collect().await;
    loaded.sort_by_key(|(at, _)| *at);
    loaded.into_iter().map(|(_, loaded)| loaded).collect()
}

/// Loads the plugin of the job at this place in the list.
async fn load_one(
    runtime: &Runtime,
    at: usize,
    job: &Job,
    fingerprint: Option<Fingerprint>,
) -> (usize, Result<Loaded, LoadError>) {
    let loaded = load(runtime, job).await.map(|plugin| Loaded {
        plugin,
        fingerprint,
    });
    (at, loaded)
}

/// Creates the runtime of a host with this configuration, on a thread that may block.
pub async fn runtime_for(config: &Config) -> Result<Runtime, RuntimeError> {
    let config = config.clone();
    let made = tokio::task::spawn_blocking(move || runtime_at(&config, config.host().data_dir()));
    made.await
        .unwrap_or_else(|error| Err(RuntimeError::Internal(error.to_string())))
}

/// Returns the directory of the compile cache of the host whose data is in `data_dir`.
pub fn cache_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("compiled")
}

/// Creates the runtime with the compile cache of the host whose data is in `data_dir`.
pub fn runtime_at(config: &Config, data_dir: &Path) -> Result<Runtime, RuntimeError> {
    Runtime::new(&RuntimeOptions {
        cache_dir: Some(cache_dir(data_dir)),
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
