//! A configuration as a reader of its store needs it: `[host]`, [store] and the names of the jobs.
//!
//! A mistake in a job must not keep an operator from the store: it only causes a warning. No plugin
//! is read here.

use std::path::{Path, PathBuf};

use leasehold_diagnostics::{ConfigError, SourceText, shown_path};

use super::context::{Context, NoPlugins};
use super::drift::Drift;
use super::environment::Environment;
use super::file_claim::FileClaim;
use super::file_claim::LoadPurpose;
use super::files;
use super::host;
use super::host::Host;
use super::load::read_rest;
use super::parts::{self, SortedErrors};
use super::report::Report;
use super::store;
use super::store::Store;
use super::syntax::Repaired;

/// Tables that a reader of the store does not need.
const UNNEEDED: &[&str] = &["defaults", "plugins", "jobs"];

/// The parts of a configuration that locate its store.
#[derive(Clone, Debug)]
pub struct Reading {
    path: PathBuf,
    host: Host,
    store: Store,
    jobs: Vec<String>,
    has_mistakes: bool,
}

impl Reading {
    /// Reads `[host]` and `[store]` of the file, or of the folder of files, at `path`.
    ///
    /// # Errors
    ///
    /// A report with every error that keeps the store from being known.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let named = parts::read(path)?;
        Self::read(named, path, &Environment::of_this_process(), |claim| {
            claim
                .is_needed_to(LoadPurpose::Read)
                .then(|| files::check(claim))
                .flatten()
        })
    }

    fn read(
        mut named: Vec<parts::NamedText>,
        path: &Path,
        surroundings: &Environment,
        look: impl Fn(&FileClaim) -> Option<ConfigError>,
    ) -> Result<Self, Report> {
        let texts: Vec<_> = named.iter().map(|named| named.text.clone()).collect();
        let sources: Vec<SourceText<'_>> = texts.iter().map(|text| SourceText::new(text)).collect();
        let repaired: Vec<Repaired> = sources.iter().map(Repaired::new).collect();
        let base = parts::base_of(&named);
        let outer = Context::new(&base, LoadPurpose::Read, surroundings, &NoPlugins);
        let mut parts = parts::parse(&mut named, &sources, &repaired, outer.texts());
        let needed = parts::contexts(&parts, &outer);
        let unneeded = parts::contexts(&parts, &outer);
        let (host, store, jobs) = {
            let roots = parts::roots(&parts, &needed);
            let host = host::read(parts::holder(&roots, "host"));
            let data_dir = host.host.as_ref().map(Host::data_dir);
            let store = store::read(parts::holder(&roots, "store"), data_dir);
            let roots = parts::roots(&parts, &unneeded);
            // An invalid drift is reported already.
            let drift = host.drift.or(Some(Drift::default()));
            let jobs = read_rest(&roots, drift).names;
            (host.host, store, jobs)
        };
        let SortedErrors { syntax, meaning } = parts::judge(&mut parts, needed, look);
        let (other_syntax, mut wrong): (Vec<_>, Vec<_>) = syntax.into_iter().partition(|found| {
            let span = found.span.as_ref();
            span.is_some_and(|span| parts.iter().any(|part| part.is_in(span, UNNEEDED)))
        });
        wrong.extend(meaning);
        let other = parts::judge(&mut parts, unneeded, |_| None).meaning;
        match (host, store) {
            (Some(host), Some(store)) if wrong.is_empty() => Ok(Self {
                path: path.to_owned(),
                host,
                store,
                jobs,
                has_mistakes: !other_syntax.is_empty() || !other.is_empty(),
            }),
            _ => {
                // A syntax error elsewhere may have swallowed the table that is missing here.
                wrong.extend(other_syntax);
                Err(Report::new(path, outer.texts(), wrong))
            }
        }
    }

    /// The process.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The names of the jobs' tables, sorted; some of them may have mistakes.
    pub fn jobs(&self) -> &[String] {
        &self.jobs
    }

    /// A warning about mistakes that do not affect a reader of the store, if there are any.
    pub fn warning(&self) -> Option<String> {
        let file = shown_path(&self.path);
        self.has_mistakes.then(|| {
            format!(
                "warning: {file} has errors outside of [host] and [store]; `leasehold check {file}` shows them"
            )
        })
    }
}
