//! Loading: the texts of a configuration in, a valid configuration or a report out.

use leasehold_diagnostics::{ConfigError, SourceText};

use super::context::{Context, NoPlugins, PluginReader};
use super::defaults::Defaults;
use super::drift::Drift;
use super::embedded;
use super::environment::Environment;
use super::file_claim::{FileClaim, LoadPurpose};
use super::files::Files;
use super::host::{self, Host};
use super::ignored_in_eq::IgnoredInEq;
use super::job::Job;
use super::loaded::{Config, DropInBase};
use super::lock_claims::LockClaim;
use super::notify;
use super::otlp;
use super::parts::{NamedText, SortedErrors};
use super::plugins;
use super::plugins::RawPlugins;
use super::report::Report;
use super::section::Section;
use super::store;
use super::syntax::Repaired;
use super::{files, input, job_table, lock_claims, parts};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;

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

    pub(super) fn parse_in(
        text: &str,
        path: &Path,
        surroundings: &Environment,
    ) -> Result<Self, Report> {
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
    pub(super) fn check(
        mut named: Vec<NamedText>,
        path: &Path,
        purpose: LoadPurpose,
        surroundings: &Environment,
        peek: &dyn PluginReader,
        look: impl Fn(&FileClaim) -> Option<ConfigError>,
    ) -> Result<Self, Report> {
        let texts: Vec<Arc<str>> = named.iter().map(|named| named.text.clone()).collect();
        let sources: Vec<SourceText<'_>> = texts.iter().map(|text| SourceText::new(text)).collect();
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
}

/// Directory for the files of a host without a configuration.
pub fn default_data_dir() -> PathBuf {
    Environment::of_this_process().data_dir()
}

/// Location of the embedded store of a host without a configuration.
pub fn default_store_dir() -> PathBuf {
    embedded::default_dir(&default_data_dir())
}

/// Reads all tables of all files, so that all errors are found; `None` if there is any.
fn read_document(roots: &[Section<'_>], path: &Path, named: &[NamedText]) -> Option<Config> {
    let host = host::read(parts::holder(roots, "host"));
    let store = store::read(
        parts::holder(roots, "store"),
        host.host.as_ref().map(Host::data_dir),
    );
    let notify = notify::read(parts::holder(roots, "notify"));
    let otlp = otlp::read(parts::holder(roots, "otlp"));
    let rest = read_rest(roots, host.drift);
    let texts = named
        .iter()
        .map(|named| (named.path.clone(), named.text.clone()));
    Some(Config {
        path: path.to_owned(),
        is_piped: named.iter().any(|named| named.is_piped),
        host: host.host?,
        store: store?,
        notify: notify.ok()?,
        otlp: otlp.ok()?,
        plugins: rest.plugins.plugins.clone().filter(|_| rest.plugins.is_set),
        jobs: rest.jobs?,
        kept: IgnoredInEq(Arc::new(DropInBase {
            texts: texts.collect(),
            defaults: rest.defaults.job,
            plugins: rest.plugins,
            drift: host.drift?,
        })),
    })
}

/// Tables besides [host] and [store].
pub(super) struct Rest {
    pub(super) defaults: Defaults,
    pub(super) plugins: RawPlugins,
    /// The jobs; `None` if any of them has an error.
    pub(super) jobs: Option<Vec<Job>>,
    /// The names of their tables, sorted.
    pub(super) names: Vec<String>,
}

pub(super) fn read_rest(roots: &[Section<'_>], drift: Option<Drift>) -> Rest {
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
        .map(|(name, section)| job_table::read(name, section, defaults, drift))
        .collect();
    let locks: Vec<_> = read
        .iter()
        .filter_map(|job| {
            let locks = job.locks.as_ref()?;
            Some(locks.iter().map(|lock| LockClaim {
                job: &job.name,
                lock: lock.get_ref(),
                span: lock.span(),
            }))
        })
        .flatten()
        .collect();
    lock_claims::refuse_nesting(&locks, context);
    lock_claims::refuse_capacities(&locks, context);
    let mut jobs: Vec<Job> = read.into_iter().map(|job| job.job).collect::<Option<_>>()?;
    jobs.sort_by(|a, b| a.name().cmp(b.name()));
    Some(jobs)
}
