//! A version of a job: its settings and its plugin, made from files as they are now.
//!
//! A file is read once, whole or not at all: the same bytes are hashed, checked and compiled. Nothing here runs a
//! guest or changes a file.

use std::path::Path;
use std::sync::Arc;

use leasehold_config::fingerprint::Fingerprint;
use leasehold_config::limits::Limits;
use leasehold_config::plugin_file::{PluginFile, Unread};
use leasehold_config::{Config, Job};
use leasehold_runtime::{LoadError, LoadProblem, Plugin, Runtime};

/// A job and its plugin.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) job: Job,
    pub(crate) plugin: Plugin,
}

/// Reason for which a version was not made.
#[derive(Debug)]
pub(crate) enum VersionRefusal {
    /// The file changed while it was read, so its contents cannot be used.
    Changing,
    /// The file looks like the beginning of a plugin: it may still be written.
    Unfinished(String),
    /// The file is complete, and cannot be used. The text gives the reason and a remedy.
    Bad(String),
}

impl VersionRefusal {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Changing => "it changes while it is read".into(),
            Self::Unfinished(text) | Self::Bad(text) => text,
        }
    }
}

impl From<LoadError> for VersionRefusal {
    fn from(error: LoadError) -> Self {
        match error.problem {
            LoadProblem::Empty | LoadProblem::Truncated { .. } => {
                Self::Unfinished(error.to_string())
            }
            _ => Self::Bad(error.to_string()),
        }
    }
}

/// Makes the version of a job that the configuration names.
pub(crate) async fn configured(runtime: &Runtime, job: &Job) -> Result<Version, VersionRefusal> {
    let path = job.plugin();
    let before = Fingerprint::of(path);
    let plugin = crate::prepare::load(runtime, job).await?;
    if before != Fingerprint::of(path) {
        return Err(VersionRefusal::Changing);
    }
    Ok(Version {
        job: job.clone(),
        plugin,
    })
}

/// Makes the version of a file in the plugins' folder, with the `.toml` beside it if there is one.
pub(crate) async fn dropped(
    runtime: &Runtime,
    config: &Arc<Config>,
    path: &Path,
) -> Result<Version, VersionRefusal> {
    let (reading, with) = (path.to_owned(), config.clone());
    let read = tokio::task::spawn_blocking(move || read_dropped(&with, &reading));
    let (job, bytes) = read
        .await
        .map_err(|error| VersionRefusal::Bad(error.to_string()))??;
    match crate::prepare::load_bytes(runtime, &job, bytes).await {
        Ok(plugin) => Ok(Version { job, plugin }),
        Err(error) => Err(error.into()),
    }
}

fn read_dropped(config: &Config, path: &Path) -> Result<(Job, Arc<[u8]>), VersionRefusal> {
    let most = config
        .plugins()
        .map_or_else(Limits::default, |plugins| plugins.limits().clone())
        .plugin_bytes;
    let found = PluginFile::read_dropped(path, most).map_err(|unread| match unread {
        Unread::Changing(_) => VersionRefusal::Changing,
        Unread::Bad(text) => VersionRefusal::Bad(format!("plugin {text}")),
    })?;
    let job = found
        .drop_in()
        .map_err(|error| VersionRefusal::Bad(format!("plugin {}: {error}", path.display())))
        .and_then(|found| {
            let job = config.dropped(&found);
            job.map_err(|report| VersionRefusal::Bad(report.to_string()))
        })?;
    Ok((job, found.bytes.into()))
}
