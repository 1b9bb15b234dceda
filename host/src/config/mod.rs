//! The configuration file: TOML in, valid values out, or one report with every error.
//!
//! [`Config::load`] is what `leasehold check` and `leasehold run` both call. Each error has its
//! file, line, column, the line itself and a remedy, and with a single one nothing starts.
//! `configs/reference.toml` explains every key.
//!
//! A job's values come in layers, of which the first that says anything wins, key by key: its own TOML,
//! the manifest inside its plugin, `[defaults]`, what is built in. [`Job::origin`] tells which it was.
//!
//! In reading order: `input` (bytes), `texts` (where they are), `syntax` (TOML), `section` (one table),
//! `read` (one value), then a file per table; `words` (what one table says of a job), `inner` (manifests
//! and sidecars), `dropped` (jobs out of a folder), `settle` (from words to a job), and `timing` and
//! `lockname` for what must fit together. This module must never start anything, and never read what is
//! inside a secret's file.

mod allow;
mod aside;
mod bounds;
mod clash;
mod context;
mod cron;
mod drift;
mod dropped;
mod embedded;
mod endpoint;
mod files;
mod guest;
mod host;
mod inner;
mod input;
mod job;
mod limits;
mod lockname;
mod mask;
mod nearest;
mod needs;
mod node;
mod origin;
mod plugins;
mod policy;
mod read;
mod report;
mod schedule;
mod schema;
mod secrets;
mod section;
mod settle;
mod sharing;
mod source;
mod store;
mod surroundings;
mod syntax;
mod texts;
mod ticks;
mod timing;
mod values;
mod words;

#[cfg(test)]
mod layers_tests;
#[cfg(test)]
mod sharing_tests;

#[cfg(test)]
mod loading_tests;
#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use clash::{Clash, clash};
pub use cron::Cron;
pub use drift::Drift;
pub use dropped::DropIn;
pub use embedded::{Data, Embedded};
pub use endpoint::Endpoint;
pub use host::Host;
pub use job::Job;
pub use origin::{Layer, Origin};
pub use plugins::Plugins;
pub use report::{Diagnostic, Report};
pub use schedule::{Restart, Schedule, Wait};
pub use store::{Login, Place, Remote, Store, Tls};
pub use ticks::{Beat, MissedTicks, Ticks};
pub use values::Setting;

pub(crate) use embedded::{Unfit, parse_loopback};
pub(crate) use files::{Refusal, open_regular, shown_path};
pub(crate) use read::{format_size, parse_size};
pub(crate) use sharing::overlaps_any;
pub(crate) use values::hex;

use aside::Aside;
use context::{Blind, Context, Finding, Peek, Purpose};
use dropped::Kept;
use files::{Claim, Files};
use input::Input;
use job::Defaults;
use lockname::Claimed;
use section::Section;
use source::Source;
use surroundings::Surroundings;
use syntax::{Document, Repaired};
use texts::Role;

/// A valid configuration.
///
/// ```
/// use std::path::Path;
/// use leasehold::config::{Config, Schedule};
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
/// # Ok::<(), leasehold::config::Report>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    path: PathBuf,
    host: Host,
    store: Store,
    plugins: Option<Plugins>,
    jobs: Vec<Job>,
    kept: Aside<Arc<Kept>>,
}

impl Config {
    /// Reads and checks the file at `path`, and looks whether the files it names are there.
    ///
    /// Relative paths in the file start at the file's own folder. Never waits: a FIFO is refused.
    ///
    /// # Errors
    ///
    /// A report with every error; the file is larger than 1 MiB, is not UTF-8 or not TOML, a value
    /// is wrong, values do not fit together, or a named file is absent or open to others.
    pub fn load(path: &Path) -> Result<Self, Report> {
        Self::load_to(Purpose::Run, path)
    }

    /// Reads and checks the file for somebody who only reads the store: as [`Config::load`], but the
    /// plugins need not be there.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_for_reading(path: &Path) -> Result<Self, Report> {
        Self::load_to(Purpose::Read, path)
    }

    /// Reads and checks the file for hosts that bring their own store: as [`Config::load`], but `[store]`
    /// may be absent, and what it names for reaching etcd need not be there.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_for_development(path: &Path) -> Result<Self, Report> {
        Self::load_to(Purpose::Develop, path)
    }

    fn load_to(purpose: Purpose, path: &Path) -> Result<Self, Report> {
        let input = input::read(path).map_err(|finding| Report::of_file(path, finding))?;
        let around = Surroundings::of_this_process();
        let files = Files::default();
        // Whoever only reads the store needs no plugin, and none is opened for it.
        let peek: &dyn Peek = match purpose {
            Purpose::Read => &Blind,
            Purpose::Run | Purpose::Develop => &files,
        };
        Self::check(input, path, purpose, &around, peek, |claim| {
            claim
                .is_needed_to(purpose)
                .then(|| files::check(claim))
                .flatten()
        })
    }

    /// Checks `text` as if it stood in a file at `path`, without looking whether the files it names
    /// are there.
    ///
    /// # Errors
    ///
    /// A report with every error in the text.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Report> {
        Self::parse_in(text, path, &Surroundings::of_this_process())
    }

    fn parse_in(text: &str, path: &Path, surroundings: &Surroundings) -> Result<Self, Report> {
        let input =
            input::decode(text.as_bytes()).map_err(|finding| Report::of_file(path, finding))?;
        Self::check(input, path, Purpose::Run, surroundings, &Blind, |_| None)
    }

    /// Everything but reading the file: `peek` looks into plugins, and `look` judges the files that the
    /// text names.
    fn check(
        input: Input,
        path: &Path,
        purpose: Purpose,
        surroundings: &Surroundings,
        peek: &dyn Peek,
        look: impl Fn(&Claim) -> Option<Finding>,
    ) -> Result<Self, Report> {
        let source = Source::new(&input.text);
        let repaired = Repaired::new(&source);
        let mut document = Document::parse(&source, &repaired, input.findings);
        let context = Context::new(path, purpose, surroundings, peek);
        let text: Arc<str> = input.text.as_str().into();
        context.texts().add(Role::Main, path, &text);
        let config = read_document(&document, path, &text, &context);
        let texts = context.texts().clone();
        let (mut meant, claims) = context.into_parts();
        meant.extend(claims.iter().filter_map(look));
        meant.retain(|finding| {
            let span = finding.span.as_ref();
            !texts.is_main(span) || !document.casts_doubt_on(span, &source)
        });
        let mut findings = std::mem::take(&mut document.findings);
        findings.extend(meant);
        match config {
            Some(config) if findings.is_empty() => Ok(config),
            _ => Err(Report::new(path, &texts, findings)),
        }
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This process.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same jobs for a host of this name.
    #[must_use]
    pub fn for_host(&self, id: &str) -> Self {
        Self {
            host: self.host.named(id),
            ..self.clone()
        }
    }

    /// The same jobs and keys on an embedded store.
    #[must_use]
    pub fn on_embedded(&self, embedded: Embedded) -> Self {
        Self {
            store: self.store.moved_to(Place::Embedded(embedded)),
            ..self.clone()
        }
    }

    /// The folder whose plugins become jobs, and what those may do.
    pub const fn plugins(&self) -> Option<&Plugins> {
        self.plugins.as_ref()
    }

    /// The jobs, in the order of their names: at least one, or there is a folder for plugins.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The job of this name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name() == name)
    }
}

/// Where the embedded store of a host without a configuration is.
pub(crate) fn default_store_dir() -> PathBuf {
    embedded::default_dir(&Surroundings::of_this_process().data_dir())
}

/// Reads all tables, so that all errors are found; `None` if there is any.
fn read_document(
    document: &Document<'_>,
    path: &Path,
    text: &Arc<str>,
    context: &Context<'_>,
) -> Option<Config> {
    let root = Section::root(&document.table, schema::ROOT, context);
    root.report_unknown_keys();
    let host = host::read(&root);
    let store = store::read(&root, host.host.as_ref().map(Host::data_dir));
    let defaults = Defaults::read(&root);
    let plugins = plugins::read(&root, &defaults.policy);
    let jobs = read_jobs(&root, &defaults, plugins.is_said, host.drift);
    Some(Config {
        path: path.to_owned(),
        host: host.host?,
        store: store?,
        plugins: plugins.plugins.clone().filter(|_| plugins.is_said),
        jobs: jobs?,
        kept: Aside(Arc::new(Kept {
            text: text.clone(),
            defaults: defaults.policy,
            plugins,
            drift: host.drift?,
        })),
    })
}

fn read_jobs(
    root: &Section<'_>,
    defaults: &Defaults,
    has_plugins: bool,
    drift: Option<Drift>,
) -> Option<Vec<Job>> {
    let tables = root.tables("jobs", schema::JOB).ok()?;
    if tables.is_empty() && !has_plugins {
        root.context().object(
            Finding::whole("there is no job: the host would have nothing to do")
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
            job.lock.as_ref().map(|lock| Claimed {
                job: &job.name,
                lock: lock.get_ref(),
                span: lock.span(),
            })
        })
        .collect();
    lockname::refuse_nesting(&locks, root.context());
    let mut jobs: Vec<Job> = read.into_iter().map(|job| job.job).collect::<Option<_>>()?;
    jobs.sort_by(|a, b| a.name().cmp(b.name()));
    Some(jobs)
}
