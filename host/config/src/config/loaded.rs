//! A valid configuration.

use super::drift::Drift;
use super::embedded::Embedded;
use super::host::Host;
use super::ignored_in_eq::IgnoredInEq;
use super::job::Job;
use super::notify::Notify;
use super::otlp::Otlp;
use super::plugins::Plugins;
use super::plugins::RawPlugins;
use super::raw_job::RawJob;
use super::store::{Store, StorePlace};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A valid configuration.
///
/// ```
/// use std::path::Path;
/// use leasehold_config::{Config, Schedule};
///
/// let text = r#"
///     [host]
///     id = "a"
///     [store]
///     endpoints = ["http://127.0.0.1:2379"]
///     [jobs.hello]
///     plugin = "hello.wasm"
/// "#;
/// let config = Config::parse(text, Path::new("hello.toml"))?;
/// assert_eq!(config.jobs()[0].locks().label(), "hello");
/// assert_eq!(config.jobs()[0].schedule(), &Schedule::KeepRunning);
/// # Ok::<(), leasehold_config::Report>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) path: PathBuf,
    pub(super) is_piped: bool,
    pub(super) host: Host,
    pub(super) store: Store,
    pub(super) notify: Option<Notify>,
    pub(super) otlp: Option<Otlp>,
    pub(super) plugins: Option<Plugins>,
    pub(super) jobs: Vec<Job>,
    pub(super) kept: IgnoredInEq<Arc<DropInBase>>,
}

impl Config {
    /// The file, or the folder of files, that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if it came out of a pipe, so that it cannot be read again.
    pub const fn is_piped(&self) -> bool {
        self.is_piped
    }

    /// The `[host]` table.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Messages about failures. Default: none.
    pub const fn notify(&self) -> Option<&Notify> {
        self.notify.as_ref()
    }

    /// The collector of traces. Default: none.
    pub const fn otlp(&self) -> Option<&Otlp> {
        self.otlp.as_ref()
    }

    /// Copies the configuration for a host of this name.
    #[must_use]
    pub fn for_host(&self, id: &str) -> Self {
        Self {
            host: self.host.named(id),
            ..self.clone()
        }
    }

    /// Copies the jobs and keys to an embedded store.
    #[must_use]
    pub fn on_embedded(&self, embedded: Embedded) -> Self {
        Self {
            store: self.store.moved_to(StorePlace::Embedded(embedded)),
            ..self.clone()
        }
    }

    /// The folder whose plugins become jobs, and the limits on those jobs.
    pub const fn plugins(&self) -> Option<&Plugins> {
        self.plugins.as_ref()
    }

    /// The jobs, in the order of their names. There is at least one, unless there is a folder for
    /// plugins.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The job of this name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name() == name)
    }
}

/// Parts of a configuration that are kept for jobs that are made later.
#[derive(Clone, Debug)]
pub(super) struct DropInBase {
    /// The configuration's files, in the order in which their positions follow each other.
    pub(super) texts: Vec<(PathBuf, Arc<str>)>,
    pub(super) defaults: RawJob,
    pub(super) plugins: RawPlugins,
    pub(super) drift: Drift,
}
