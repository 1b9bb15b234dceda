//! The configuration, a file or a folder of files: TOML in, valid values out, or one report with every error.
//!
//! [`Config::load`] is called by `leasehold check` and by `leasehold run`. Each error has its file,
//! line, column, the line itself and a remedy, and with a single one nothing starts.
//! `configs/reference.toml` explains every key.
//!
//! A job's values come in layers. For each key, the first layer that sets it wins: the job's own
//! TOML, the manifest inside its plugin, `[defaults]`, the built-in values. [`Job::origin`] returns
//! the layer of a value.
//!
//! Modules in reading order:
//!
//! - `input` (bytes), `parts` (one file or several), `source_map` (positions in all files), `syntax` (TOML)
//! - `section` (one table), `read` (one value), then a file per table
//! - `raw_job` (one table's values for a job), `nested` (manifests and sidecars), `dropped` (jobs out of
//!   a folder)
//! - `validate` (from these values to a job), `timing` and `lockname` (values that must fit together)
//!
//! Nothing is started here, and no secret's file is read.

mod allow;
mod bounds;
mod clash;
mod context;
mod cron;
mod drift;
mod dropped;
mod effective;
mod embedded;
mod endpoint;
mod environment;
mod files;
mod guest;
mod host;
mod ignored_in_eq;
mod input;
mod job;
mod limits;
mod lockname;
mod mask;
mod needs;
mod nested;
mod node;
mod origin;
mod parts;
mod pipe;
mod plugins;
mod policy;
mod raw_job;
mod read;
mod reading;
mod report;
mod schedule;
mod schema;
mod secrets;
mod section;
mod sharing;
mod source;
mod source_map;
mod store;
mod suggest;
mod syntax;
mod ticks;
mod timing;
mod validate;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

pub use clash::{Clash, clash};
pub use cron::Cron;
pub use drift::Drift;
pub use dropped::DropIn;
pub use effective::Setting;
pub use embedded::{Data, Embedded, History};
pub use endpoint::Endpoint;
pub use host::Host;
pub use job::{Job, OwnResources};
pub use origin::{Layer, Origin};
pub use plugins::Plugins;
pub use reading::Reading;
pub use report::{Diagnostic, Report};
pub use schedule::{Restart, Schedule, Wait};
pub use store::{Login, Remote, Store, StorePlace, Tls};
pub use ticks::{Beat, MissedTicks, Ticks};

pub use effective::hex;
pub use embedded::{LoopbackError, parse_loopback};
pub use files::shown_path;
pub use parts::files_of;
pub use read::{format_size, parse_size};
pub use sharing::overlaps_any;
pub use suggest::suggest;
pub use timing::RENEWALS_PER_TTL;

use context::{ConfigError, Context, LoadPurpose, NoPlugins, PluginReader};
use dropped::DropInBase;
use environment::Environment;
use files::{FileClaim, Files};
use ignored_in_eq::IgnoredInEq;
use job::Defaults;
use lockname::LockClaim;
use parts::{NamedText, SortedErrors};
use plugins::RawPlugins;
use section::Section;
use source::Source;
use syntax::Repaired;

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
/// assert_eq!(config.jobs()[0].lock(), "hello");
/// assert_eq!(config.jobs()[0].schedule(), &Schedule::KeepRunning);
/// # Ok::<(), leasehold_config::Report>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    path: PathBuf,
    is_piped: bool,
    host: Host,
    store: Store,
    plugins: Option<Plugins>,
    jobs: Vec<Job>,
    kept: IgnoredInEq<Arc<DropInBase>>,
}

impl Config {
    /// Reads and checks the file at `path`, or every `.toml` file of the folder there, and checks
    /// that the files it names exist.
    ///
    /// Relative paths start at the folder of the file that holds them. A pipe is read to its end,
    /// which must come soon.
    ///
    /// # Errors
    ///
    /// A report with every error. The files exceed 16 MiB, or a text is not UTF-8 or not TOML. Values
    /// are wrong or do not fit together, or a named file is absent or open to others.
    pub fn load(path: &Path) -> Result<Self, Report> {
        Self::load_to(LoadPurpose::Run, path)
    }

    /// Reads and checks the file for hosts that bring their own store: as [`Config::load`], but
    /// `[store]` may be absent, and the files it names for reaching etcd need not exist.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_for_development(path: &Path) -> Result<Self, Report> {
        Self::load_to(LoadPurpose::Develop, path)
    }

    fn load_to(purpose: LoadPurpose, path: &Path) -> Result<Self, Report> {
        let named = parts::read(path)?;
        let around = Environment::of_this_process();
        let files = Files::default();
        Self::check(named, path, purpose, &around, &files, |claim| {
            claim
                .is_needed_to(purpose)
                .then(|| files::check(claim))
                .flatten()
        })
    }

    /// Checks `text` as the content of a file at `path`, without checking that the files it names
    /// exist.
    ///
    /// # Errors
    ///
    /// A report with every error in the text.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Report> {
        Self::parse_in(text, path, &Environment::of_this_process())
    }

    fn parse_in(text: &str, path: &Path, surroundings: &Environment) -> Result<Self, Report> {
        let input =
            input::decode(text.as_bytes()).map_err(|finding| Report::of_file(path, finding))?;
        let named = vec![NamedText::new(path.to_owned(), input)];
        Self::check(
            named,
            path,
            LoadPurpose::Run,
            surroundings,
            &NoPlugins,
            |_| None,
        )
    }

    /// Does everything except reading the files: `peek` reads plugins, and `look` checks the files
    /// that the texts name.
    fn check(
        mut named: Vec<NamedText>,
        path: &Path,
        purpose: LoadPurpose,
        surroundings: &Environment,
        peek: &dyn PluginReader,
        look: impl Fn(&FileClaim) -> Option<ConfigError>,
    ) -> Result<Self, Report> {
        let texts: Vec<Arc<str>> = named.iter().map(|named| named.text.clone()).collect();
        let sources: Vec<Source<'_>> = texts.iter().map(|text| Source::new(text)).collect();
        let repaired: Vec<Repaired> = sources.iter().map(Repaired::new).collect();
        let base = parts::base_of(&named);
        let outer = Context::new(&base, purpose, surroundings, peek);
        let mut parts = parts::parse(&mut named, &sources, &repaired, outer.texts());
        let contexts = parts::contexts(&parts, &outer);
        let config = read_document(&parts::roots(&parts, &contexts), path, &named);
        let SortedErrors {
            syntax: mut findings,
            meaning,
        } = parts::judge(&mut parts, contexts, look);
        findings.extend(meaning);
        match config {
            Some(config) if findings.is_empty() => Ok(config),
            _ => Err(Report::new(path, outer.texts(), findings)),
        }
    }

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

/// Location of the embedded store of a host without a configuration.
pub fn default_store_dir() -> PathBuf {
    embedded::default_dir(&Environment::of_this_process().data_dir())
}

/// Reads all tables of all files, so that all errors are found; `None` if there is any.
fn read_document(roots: &[Section<'_>], path: &Path, named: &[NamedText]) -> Option<Config> {
    let host = host::read(parts::holder(roots, "host"));
    let store = store::read(
        parts::holder(roots, "store"),
        host.host.as_ref().map(Host::data_dir),
    );
    let rest = read_rest(roots, host.drift);
    let texts = named
        .iter()
        .map(|named| (named.path.clone(), named.text.clone()));
    Some(Config {
        path: path.to_owned(),
        is_piped: named.iter().any(|named| named.is_piped),
        host: host.host?,
        store: store?,
        plugins: rest.plugins.plugins.clone().filter(|_| rest.plugins.is_set),
        jobs: rest.jobs?,
        kept: IgnoredInEq(Arc::new(DropInBase {
            texts: texts.collect(),
            defaults: rest.defaults.policy,
            plugins: rest.plugins,
            drift: host.drift?,
        })),
    })
}

/// Tables besides [host] and [store].
struct Rest {
    defaults: Defaults,
    plugins: RawPlugins,
    /// The jobs; `None` if any of them has an error.
    jobs: Option<Vec<Job>>,
    /// The names of their tables, sorted.
    names: Vec<String>,
}

fn read_rest(roots: &[Section<'_>], drift: Option<Drift>) -> Rest {
    for root in roots {
        root.report_unknown_keys();
    }
    let defaults = Defaults::read(parts::holder(roots, "defaults"));
    let plugins = plugins::read(parts::holder(roots, "plugins"), &defaults);
    let tables = parts::job_tables(roots);
    let mut names: Vec<String> = tables
        .iter()
        .flatten()
        .map(|(name, _)| (*name.get_ref()).to_owned())
        .collect();
    names.sort();
    let jobs = tables.and_then(|tables| {
        let context = roots[0].context();
        read_jobs(&tables, context, &defaults, plugins.is_set, drift)
    });
    Rest {
        defaults,
        plugins,
        jobs,
        names,
    }
}

fn read_jobs(
    tables: &[(Spanned<&str>, Section<'_>)],
    context: &Context<'_>,
    defaults: &Defaults,
    has_plugins: bool,
    drift: Option<Drift>,
) -> Option<Vec<Job>> {
    if tables.is_empty() && !has_plugins {
        context.report(
            ConfigError::whole("there is no job: the host would have nothing to do")
                .help("add a table such as `[jobs.hello]` with `plugin = \"hello.wasm\"`")
                .help("or name a folder of plugins: `[plugins]` with `dir = \"plugins\"`"),
        );
        return None;
    }
    let read: Vec<_> = tables
        .iter()
        .map(|(name, section)| job::read(name, section, defaults, drift))
        .collect();
    let locks: Vec<_> = read
        .iter()
        .filter_map(|job| {
            job.lock.as_ref().map(|lock| LockClaim {
                job: &job.name,
                lock: lock.get_ref(),
                span: lock.span(),
            })
        })
        .collect();
    lockname::refuse_nesting(&locks, context);
    let mut jobs: Vec<Job> = read.into_iter().map(|job| job.job).collect::<Option<_>>()?;
    jobs.sort_by(|a, b| a.name().cmp(b.name()));
    Some(jobs)
}
